"""Which maps a model of errors is about: those of one method, network and way to use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_pascal

from napari_ies.cohort.statistics.rows import NO_MATCH
from napari_ies.results.storage.writing import plain
from napari_ies.saliency.request import METHOD_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_ies.saliency.request import SaliencyRequest

_OF_BOTH = ("forward", "class_index")
_OF_METHOD = {"smoothgrad": ("n_samples", "noise", "tolerance"), "gradcam++": ("layer",)}
"""What changes a map. Seed and version of the noise give other maps of the same distribution."""
_NAMES_ONLY = ("name", "sha256", "format", "guessed")
"""What is said of a network besides what it does."""
_CALLED = {"n_samples": "noise samples", "class_index": "class number"}
Name = Annotated[str, Field(max_length=200)]


class Strict(BaseModel):
    """No text for a number, no number for a text, nothing that is not finite, nothing besides."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        alias_generator=to_pascal,
        validate_by_alias=True,
        validate_by_name=True,
    )


class MapKind(Strict):
    """What sets maps apart that no model can be about together."""

    method: Name
    aggregation: Name
    """n/a for Grad-CAM++, which has none."""
    sequences: Annotated[list[Name], Field(min_length=1, max_length=50)]
    """Of the maps, sorted."""
    network: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    """SHA-256 of its file; empty where that is not known."""
    settings: dict[str, str | float | int | None]
    """Of the request, as far as they change a map."""
    use: dict[str, Any]
    """How the network gets its input and what its output is."""

    @classmethod
    def of(
        cls, request: SaliencyRequest, sequences: Sequence[str], provenance: Mapping[str, object]
    ) -> MapKind:
        """Return the kind of a map, by what it answers and what it was made from."""
        found = provenance.get("checkpoint")
        network: dict[str, Any] = plain(found) if isinstance(found, dict) else {}
        names = (*_OF_BOTH, *_OF_METHOD[request.method])
        settings = {name: getattr(request, name) for name in names}
        # What was asked for is not what was computed where the device has no such arithmetic.
        settings["precision"] = str(provenance.get("precision", request.precision))
        return cls(
            method=request.method,
            aggregation=request.aggregation if request.is_smoothgrad else NO_MATCH,
            sequences=sorted(sequences),
            network=str(network.get("sha256") or ""),
            settings=settings,
            use={key: value for key, value in network.items() if key not in _NAMES_ONLY},
        )

    @property
    def called(self) -> str:
        """Method and aggregation in words."""
        name = METHOD_NAMES.get(self.method, self.method)
        return name if self.aggregation == NO_MATCH else f"{name} {self.aggregation}"

    def unlike(self, other: MapKind) -> tuple[str, str, str] | None:
        """Return the first thing in which another kind differs: what, here, and there."""
        if self.called != other.called:
            return "method", self.called, other.called
        if self.sequences != other.sequences:
            return "sequences", " and ".join(self.sequences), " and ".join(other.sequences)
        if self.network != other.network:
            return "network", _short(self.network), _short(other.network)
        for own, others in ((self.settings, other.settings), (self.use, other.use)):
            for key in {**own, **others}:
                if own.get(key) != others.get(key):
                    called = _CALLED.get(key, key.replace("_", " "))
                    return called, str(own.get(key)), str(others.get(key))
        return None


def _short(digest: str) -> str:
    return f"SHA-256 {digest[:12]}…" if digest else "no known SHA-256"
