"""What the JSON beside a result says: written with the hash of each file, checked when read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_pascal

from napari_ies.errors import ResultsError, SaliencyError
from napari_ies.geometry.box import Box
from napari_ies.results.names import is_plain_name, sidecar_name
from napari_ies.results.storage.images import read_image
from napari_ies.results.storage.json_files import FOREIGN, read_sidecar
from napari_ies.saliency.request import SaliencyRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


LARGEST_SIDE = 32767
"""Voxels along an axis that NIfTI can say."""
_DIGEST = r"^[0-9a-f]{64}$"

Content = TypeVar("Content", bound="Described")


def _check_name(name: str) -> str:
    if not is_plain_name(name):
        raise ValueError("is not the name of a file beside it")
    return name


FileName = Annotated[str, AfterValidator(_check_name)]
Digest = Annotated[str, Field(pattern=_DIGEST)]


class _Strict(BaseModel):
    """No text for a number, no number for a text, nothing that is not finite."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
        alias_generator=to_pascal,
        populate_by_name=False,
    )


class _GridContent(_Strict):
    shape: Annotated[
        list[Annotated[int, Field(ge=1, le=LARGEST_SIDE)]], Field(min_length=3, max_length=3)
    ]
    affine: Annotated[
        list[Annotated[list[float], Field(min_length=4, max_length=4)]],
        Field(min_length=4, max_length=4),
    ]

    @model_validator(mode="after")
    def _is_grid(self) -> _GridContent:
        matrix = self.matrix
        with np.errstate(all="ignore"):
            volume = np.linalg.det(matrix[:3, :3])
        if not np.isfinite(volume) or volume == 0:
            raise ValueError("the affine maps no voxel to a place of its own")
        return self

    @property
    def size(self) -> tuple[int, int, int]:
        x, y, z = self.shape
        return x, y, z

    @property
    def matrix(self) -> NDArray[np.float64]:
        return np.array(self.affine, dtype=np.float64)


class BoxedGridContent(_GridContent):
    """A grid, and the box of it that maps fill."""

    box: Annotated[
        list[Annotated[list[int], Field(min_length=2, max_length=2)]],
        Field(min_length=3, max_length=3),
    ]

    @model_validator(mode="after")
    def _is_inside(self) -> BoxedGridContent:
        for (start, stop), size in zip(self.box, self.shape, strict=True):
            if not 0 <= start < stop <= size:
                raise ValueError("the box does not lie in the images")
        return self

    @property
    def slices(self) -> Box:
        """The box."""
        return Box(*zip(*self.box, strict=True))


class Described(_Strict):
    """What the sidecars of all results say: the hash of each file, from version 0.2 on."""

    result: ClassVar[str] = "a result"
    listed: ClassVar[str] = ""

    grid: _GridContent
    sha256: Annotated[dict[FileName, Digest] | None, Field(alias="SHA256")] = None

    def digest(self, name: str) -> str:
        """Return the SHA-256 that a file of the result must have; empty if it is not known.

        Raises
        ------
        ResultsError
            If the hashes of others are known and its own is not.
        """
        if self.sha256 is None:
            return ""
        if name not in self.sha256:
            raise ResultsError(
                f"{name} is named as a file of a result without the SHA-256 of the others; "
                "choose a result of napari-ies or compute it again."
            )
        return self.sha256[name]

    def image(
        self,
        path: Path,
        dtype: type[np.generic],
        size: tuple[int, int, int] | None = None,
        *,
        changed_too: bool = False,
    ) -> tuple[NDArray[Any], str]:
        """Read an image of the result, of a type and a size, with the SHA-256 of its file.

        The size is that of the result's grid, if it is left out.

        Raises
        ------
        ResultsError
            If it is missing, damaged or another image than was written, unless changed ones are
            to be read, too.
        """
        return read_image(
            path, dtype, size or self.grid.size, "" if changed_too else self.digest(path.name)
        )


class _SaliencyFiles(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)
    maps: Annotated[list[FileName], Field(min_length=1)]
    standard_error: list[FileName] = []
    spread: list[FileName] = []
    network: list[FileName] = []
    network_standard_error: list[FileName] = []
    footprint: FileName
    measures: FileName | None = None
    profile: FileName | None = None


class SaliencyImage(BaseModel):
    """An image that a saliency was computed from: its file's name, without folders, and content."""

    model_config = ConfigDict(strict=True, frozen=True)
    sequence: str
    file: str | None = None
    sha256: str | None = None


class _Provenance(BaseModel):
    """Of what is read back; the rest goes along as it is."""

    model_config = ConfigDict(strict=True, extra="allow")
    images: list[SaliencyImage] = []
    checkpoint: dict[str, Any] | None = None
    notes: list[str] = []
    versions: dict[str, Any] = {}


class SaliencyContent(Described):
    """What the sidecars of a saliency say."""

    result: ClassVar[str] = "a saliency map"
    listed: ClassVar[str] = "maps"

    files: _SaliencyFiles
    grid: BoxedGridContent
    network_grid: BoxedGridContent | None = None
    request: dict[str, Any]
    sequences: Annotated[list[str], Field(min_length=1)]
    samples_used: Annotated[int, Field(ge=0)]
    provenance: dict[str, Any]
    lesion: int | None = None
    region: str | None = None
    sources: list[str] | None = None

    @model_validator(mode="after")
    def _agrees(self) -> SaliencyContent:
        count = len(self.sequences)
        sizes = {len(set(self.sequences)), len(self.files.maps)}
        files = self.files
        others = [files.standard_error, files.spread]
        others += [files.network, files.network_standard_error]
        if sizes != {count} or any(len(names) not in (0, count) for names in others):
            raise ValueError("the sizes do not agree")
        _Provenance.model_validate(self.provenance)
        _ = self.asked
        return self

    @property
    def asked(self) -> SaliencyRequest:
        """What was asked for."""
        try:
            return SaliencyRequest.recorded(self.request)
        except (SaliencyError, TypeError) as error:
            raise ValueError(str(error)) from error

    @property
    def images(self) -> list[SaliencyImage]:
        """The images that it was computed from."""
        return _Provenance.model_validate(self.provenance).images


class _SegmentationFiles(_Strict):
    model_config = ConfigDict(alias_generator=None)
    labels: FileName
    probability: FileName
    lesions: FileName


class AgreementContent(_Strict):
    """A guess about the network that was tested; a score that is infinite is null."""

    what: str
    assumed: str
    best: str
    scores: dict[str, float | None]
    sentence: str
    sure: bool
    suggestion: str | None


class DecisionContent(_Strict):
    """The network's own tool's rule: the threshold that stands for it, and whether it decided."""

    threshold: float
    decided: bool


class _FileRecord(_Strict):
    name: str | None = None
    sha256: Annotated[str | None, Field(alias="SHA256")] = None


class _SegmentationImage(_FileRecord):
    sequence: str
    data_sha256: Annotated[str | None, Field(alias="DataSHA256")] = None


class SegmentationContent(Described):
    """What the sidecars of a segmentation say."""

    result: ClassVar[str] = "a segmentation"
    listed: ClassVar[str] = "labels"

    files: _SegmentationFiles
    threshold: float
    forward: str
    device: str
    segmentation_notes: list[str]
    smallest_lesion: Annotated[int, Field(ge=1)] | None = None
    agreements: list[AgreementContent] = []
    decision: DecisionContent | None = None
    images: list[_SegmentationImage] = []
    reference: _FileRecord | None = None
    checkpoint: dict[str, Any] = {}


def read_content(path: Path, kind: type[Content]) -> tuple[Content, dict[str, Any]]:
    """Read the JSON beside a result, and check that it says what a kind of result does.

    Returns
    -------
    content, whole
        What it says of that kind, and all it says.

    Raises
    ------
    ResultsError
        If there is none, or it does not say what the program writes.
    """
    whole = read_sidecar(path)
    try:
        content = kind.model_validate(whole)
        _check_own(path, whole["Files"])
        return content, whole
    except ValidationError as error:
        _check_kind(path, kind, whole)
        found = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in found["loc"])
        said = found["msg"].removeprefix("Value error, ")
        reason = f"{where}: {said}" if where else said
    except (RecursionError, OverflowError) as error:
        reason = str(error)
    raise ResultsError(FOREIGN.format(path=path, reason=reason))


def _check_kind(path: Path, kind: type[Described], whole: Mapping[str, Any]) -> None:
    """Refuse the sidecar of another kind of result than the one expected."""
    files = whole.get("Files")
    for other in (SaliencyContent, SegmentationContent):
        if other is not kind and isinstance(files, dict) and other.listed in files:
            raise ResultsError(
                f"{path} belongs to {other.result}, where {kind.result} was expected; choose a "
                f"file of {kind.result}."
            )


def _check_own(path: Path, files: Mapping[str, Any]) -> None:
    """Refuse a sidecar that names the files of another result, and not the one it is beside."""
    listed = (name if isinstance(name, list) else [name] for name in files.values())
    named = [name for names in listed for name in names if isinstance(name, str)]
    if path.name not in map(sidecar_name, named):
        raise ResultsError(
            f"{path} is not of the file that it lies beside: it describes {named[0]} and what "
            "belongs to that; copy all files of the result again, under the names they had."
        )
