"""A patient's files become layers. Runs in the worker thread and knows no Qt."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.errors import CaseError
from napari_ies.progress import Progress
from napari_ies.viewer.volumes.layer_data import read_image, read_mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_ies.patient.patient_files import PatientFiles
    from napari_ies.viewer.volumes.layer_data import LayerDataTuple


@dataclass(frozen=True, eq=False)
class OpenedPatient:
    """What was recognised and read."""

    files: PatientFiles
    """What is what."""
    layers: list[LayerDataTuple]
    """Images, the first sequence last and so on top, and the reference."""
    checkpoint: Path | None
    """What is to be loaded: one of the files, or the one that was loaded last; None for neither."""
    notes: tuple[str, ...]
    """What else there is to say."""

    @property
    def text(self) -> str:
        """What was opened, in a sentence, and then what else there is to say."""
        parts = [f"{sequence} ({path.name})" for sequence, path in self.files.images.items()]
        parts += [path.name for path in self.files.others]
        if self.files.reference is not None:
            parts.append(f"reference ({self.files.reference.name})")
        opened = f"Opened {', '.join(parts)}." if parts else ""
        return " ".join(filter(None, (opened, *self.notes)))


def open_patient(
    paths: Sequence[str], sequences: Sequence[str], checkpoint: str
) -> Iterator[Progress[OpenedPatient]]:
    """Recognise a patient's files, and read those that are needed.

    Parameters
    ----------
    paths
        Files and folders.
    sequences
        Names of what the network takes, in order.
    checkpoint
        The one to load where there is none among the files; empty for none.

    Raises
    ------
    CaseError
        If they are no patient's, or one cannot be read.
    """
    from napari_ies.checkpoints import is_ensemble, recognised
    from napari_ies.patient.patient_files import PatientFiles, patient_files

    yield Progress("Looking for images", 0, 0, "")
    whole = [Path(path) for path in paths]
    networks = [path for path in whole if (path.is_dir() and recognised(path)) or is_ensemble(path)]
    rest = [path for path in whole if path not in networks]
    files = patient_files(rest, sequences) if rest else PatientFiles({})
    images, reference = files.opened, files.reference
    total = len(images) + (reference is not None)
    layers: list[LayerDataTuple] = []
    notes = list(files.notes)
    for done, path in enumerate(images):
        yield Progress(f"Opening {path.name}", done, total + 1, "files")
        layers.insert(0, read_image(path))
    if reference is not None:
        yield Progress(f"Opening {reference.name}", total - 1, total + 1, "files")
        try:
            layers.append(read_mask(reference))
        except CaseError as error:
            notes.append(f"The reference was left out: {error}")
    chosen = networks[0] if networks else files.checkpoint
    if chosen is None and checkpoint:
        with suppress(OSError):
            chosen = Path(checkpoint) if Path(checkpoint).exists() else None
        if chosen is None:
            notes.append(f"The checkpoint used last, {checkpoint}, is not there any more.")
    opened = OpenedPatient(files, layers, chosen, tuple(notes))
    yield Progress("Opening", total + 1, total + 1, "files", result=opened)
