"""CohortSettings: what is done with each case, and by what it is known again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_ies.cohort.selection import Selection
from napari_ies.errors import CohortError
from napari_ies.regular_files import sha256_of
from napari_ies.results.storage.writing import plain
from napari_ies.saliency.case_explanations import completed
from napari_ies.saliency.provenance import network_provenance
from napari_ies.versions import __version__

if TYPE_CHECKING:
    from napari_ies.network.model import SegmentationModel
    from napari_ies.saliency.request import SaliencyRequest

BIDS, IES = LAYOUTS = ("bids", "ies")


@dataclass(frozen=True)
class CohortSettings:
    """What is done with each case."""

    requests: tuple[SaliencyRequest, ...]
    """The maps of each lesion; none of them twice."""
    selection: Selection = field(default_factory=Selection)
    threshold: float | None = None
    smallest: int | None = None
    segmented_by: str = "sliding-window"
    """The forward by which lesions are found; the requests say by which they are explained."""
    memory_gib: float | None = None
    """See :func:`~napari_ies.saliency.explanation.explain_progressively`."""
    layout: str = BIDS
    """Of `LAYOUTS`; whatever it says, results are written as BIDS derivatives too."""
    scripts_folder: str = "attention_maps"
    """What the folder with the original scripts' names is called."""
    overwrite: bool = False
    """Whether what others wrote, and maps of other noise, are replaced; it decides no value."""

    def __post_init__(self) -> None:
        if len(set(self.requests)) < len(self.requests):
            raise CohortError("The same map was asked for twice; name each aggregation once.")
        ways = [request.aggregation for request in self.requests if request.is_smoothgrad]
        if self.layout == IES and len(ways) > 1:
            raise CohortError(
                f"The scripts' names say no aggregation, so --layout {IES} takes one, not "
                f"{' and '.join(ways)}; make a run for each."
            )

    @property
    def groups(self) -> list[tuple[SaliencyRequest, tuple[str, ...]]]:
        """The requests that differ in the aggregation alone, with these: they share forwards."""
        found: dict[SaliencyRequest, list[str]] = {}
        for request in self.requests:
            alike = replace(request, aggregation="mean")
            found.setdefault(alike, []).append(request.aggregation)
        return [(replace(one, aggregation=ways[0]), tuple(ways)) for one, ways in found.items()]

    @property
    def noise_version(self) -> int | None:
        """Which definition of the noise the maps of SmoothGrad have; None if there are none."""
        versions = {one.noise_version for one in self.requests if one.is_smoothgrad}
        return max(versions, default=None)

    def segmentation_key(self, model: SegmentationModel) -> str:
        """Return the hash of all that decides, with the images, which lesions there are."""
        return _digest(self._of_segmentation(model))

    def key(self, model: SegmentationModel) -> str:
        """Return the hash of all that decides, with the files, what is written for a case."""
        return _digest(
            {
                **self._of_segmentation(model),
                "requests": [asdict(completed(one, model)) for one in self.requests],
                "selection": asdict(self.selection),
                "layout": [self.layout, self.scripts_folder if self.layout == IES else ""],
            }
        )

    def _of_segmentation(self, model: SegmentationModel) -> dict[str, Any]:
        profile, network = model.profile, network_provenance(model)
        del network["format"]  # the SHA-256 tells
        return {
            "napari-ies": __version__,
            "network": network | {"name": ""},
            "sequences": profile.sequences,
            "explained": profile.explained_class,
            "threshold": profile.threshold if self.threshold is None else self.threshold,
            "smallest": profile.smallest_lesion if self.smallest is None else self.smallest,
            "forward": self.segmented_by,
        }


def _digest(content: dict[str, Any]) -> str:
    return sha256_of(json.dumps(plain(content), sort_keys=True).encode())
