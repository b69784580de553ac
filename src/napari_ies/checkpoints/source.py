"""Where a network comes from, and what a person says of it: all that loading asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.loading import load_checkpoint
from napari_ies.network.profile import finding

if TYPE_CHECKING:
    from pathlib import Path

    from napari_ies.network.model import SegmentationModel


@dataclass(frozen=True)
class CheckpointSource:
    """A checkpoint with what is asked for: see `load_checkpoint`."""

    checkpoint: Path
    """Its file or folder."""
    device: str = "auto"
    orientation: str | None = None
    spacing: tuple[float, float, float] | None = None
    arguments: tuple[tuple[str, Any], ...] = ()
    """Choices of the checkpoint's format, by name."""
    found_class: str | None = None
    """The class to find, by name or index; None for the profile's."""
    trust: bool = False
    """Whether what the checkpoint holds may be run."""

    def load(self) -> SegmentationModel:
        """Load the network.

        Raises
        ------
        CheckpointError
            See `load_checkpoint`.
        """
        stated = {"arguments": dict(self.arguments)} if self.arguments else {}
        model = load_checkpoint(
            self.checkpoint,
            device=self.device,
            orientation=self.orientation,
            spacing=self.spacing,
            stated=stated,
            trust=self.trust,
        )
        if self.found_class is None:
            return model
        return model.with_profile(finding(model.profile, self.found_class))
