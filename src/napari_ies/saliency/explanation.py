"""explain: from a model, a case and a footprint to a Saliency."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from napari_ies.errors import SaliencyError
from napari_ies.free_memory import within_memory
from napari_ies.progress import Progress, to_its_end
from napari_ies.saliency.case_explanations import CaseExplanations
from napari_ies.saliency.request import NOISE_VERSION, SaliencyRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.saliency.saliency import Saliency

Key = TypeVar("Key")

# A sentence, because napari's generator workers swallow every RuntimeError.
_within_memory = partial(
    within_memory,
    SaliencyError,
    "explain this region",
    "choose the forward sliding-window, or a smaller region",
)


def explain_progressively(
    model: SegmentationModel,
    case: Case,
    footprint: ArrayLike,
    *,
    method: str = "smoothgrad",
    aggregation: str = "mean",
    n_samples: int = 50,
    noise: float = 0.05,
    seed: int = 0,
    forward: str = "sliding-window",
    class_index: int | None = None,
    layer: str | None = None,
    tolerance: float | None = None,
    precision: str = "float32",
    noise_version: int = NOISE_VERSION,
    jacobian: str = "auto",
    memory_gib: float | None = None,
) -> Iterator[Progress[Saliency]]:
    """Explain why a network marked a footprint, step by step.

    Parameters
    ----------
    model
        The network and its profile.
    case
        The patient; its sequences in the profile's order.
    footprint
        Mask (X, Y, Z) of the voxels to explain, on the case's grid: a lesion, or any region.
    method, aggregation, n_samples, noise, seed, forward, class_index, layer, tolerance, precision
        See :class:`~napari_ies.saliency.request.SaliencyRequest`.
    noise_version
        See there.
    jacobian
        How SmoothGrad's gradients are computed, which changes the time and not the map: see
        :func:`~napari_ies.saliency.engines.certification.choose_engine`.
    memory_gib
        Memory in GiB that may be taken beyond the network and one forward, which changes the time
        and not the map: see :func:`~napari_ies.saliency.engines.memory.memory_limit`.

    Yields
    ------
    A report after each step of work. After each noise sample its result is the running
    :class:`~napari_ies.saliency.saliency.Saliency`; the last one is the finished map.

    Raises
    ------
    SaliencyError
        If the footprint, a setting, the class or the layer is not possible.
    CheckpointError
        If the case does not fit the network.
    """
    request = SaliencyRequest(
        method=method,
        aggregation=aggregation,
        n_samples=n_samples,
        noise=noise,
        seed=seed,
        forward=forward,
        class_index=class_index,
        layer=layer,
        tolerance=tolerance,
        precision=precision,
        noise_version=noise_version,
    )
    yield from explain_request(
        model, case, footprint, request, jacobian=jacobian, memory_gib=memory_gib
    )


explain = to_its_end("explain", explain_progressively)


def explain_request(
    model: SegmentationModel,
    case: Case,
    footprint: ArrayLike,
    request: SaliencyRequest,
    *,
    jacobian: str = "auto",
    memory_gib: float | None = None,
    explained: CaseExplanations | None = None,
) -> Iterator[Progress[Saliency]]:
    """Explain a footprint as a request says; see :func:`explain_progressively`.

    What the explanations of the case share is made here, or comes with `explained`.
    """
    with _within_memory():
        if explained is None:
            explained = CaseExplanations(model, case, request, jacobian, memory_gib)
        for _, report in explained.run([(footprint, request.aggregation)]):
            yield report


class Prepared:
    """What the explanations of one case share, made once and kept for the next one."""

    def __init__(self) -> None:
        self._kept: CaseExplanations | None = None

    def explanations(
        self, model: SegmentationModel, case: Case, request: SaliencyRequest
    ) -> CaseExplanations:
        """Return the explanations of a case by a request.

        Raises
        ------
        SaliencyError
            If nothing can be explained by this request.
        """
        kept = self._kept
        if kept is None or not kept.serves(model, case, request):
            self._kept = None  # before the next one takes memory
            with _within_memory():
                kept = CaseExplanations(model, case, request, "auto", None)
            self._kept = kept
        return kept.asked(request)


def explain_together(
    model: SegmentationModel,
    case: Case,
    footprints: Mapping[Key, ArrayLike],
    request: SaliencyRequest,
    *,
    aggregations: Sequence[str] = (),
    jacobian: str = "auto",
    memory_gib: float | None = None,
) -> Iterator[tuple[tuple[Key, str], Progress[Saliency]]]:
    """Explain several footprints by SmoothGrad, in several aggregations, from shared forwards.

    Parameters
    ----------
    model, case
        The network and the patient.
    footprints
        Masks (X, Y, Z) on the case's grid, by any key, such as the lesion's label; each is taken
        when its turn comes and not kept, so that a mapping may make them then.
    request
        Settings; its method must be ``"smoothgrad"``.
    aggregations
        Aggregations to compute; by default the request's.
    jacobian
        See :func:`~napari_ies.saliency.engines.certification.choose_engine`.
    memory_gib
        See :func:`explain_progressively`. As many footprints are computed together as half of it
        holds maps of, one at the least, so that memory does not grow with their number. An engine
        whose forwards belong to one footprint alone (windowed) takes one footprint at a time, in
        all its aggregations.

    Yields
    ------
    A key with its aggregation, and a report on it as :func:`explain_progressively` gives; each
    one's last report is finished and holds its map, the same as if it were explained alone.

    Raises
    ------
    SaliencyError
        If a footprint or a setting is not possible.
    """
    if not request.is_smoothgrad:
        raise SaliencyError(
            f"Only smoothgrad explains lesions together, not {request.method}; explain each alone."
        )
    ways = aggregations or (request.aggregation,)
    keys = list(footprints)
    with _within_memory():
        explained = CaseExplanations(model, case, request, jacobian, memory_gib)
        together = explained.footprints_together(len(ways))
        for start in range(0, len(keys), together):
            batch = [(key, way) for key in keys[start : start + together] for way in ways]
            for number, report in explained.run((footprints[key], way) for key, way in batch):
                yield batch[number], report
                del report
