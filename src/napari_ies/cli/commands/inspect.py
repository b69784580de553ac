"""``napari-ies inspect``: what a checkpoint is."""

from __future__ import annotations

from napari_ies.cli import options
from napari_ies.cli.terminal import reporting


def inspect(
    checkpoint: options.Checkpoint,
    class_name: options.Class = None,
    orientation: options.Orientation = None,
    spacing: options.Spacing = None,
    write_profile: options.WriteProfile = False,
    overwrite: options.ReplaceProfile = False,
    folds: options.Folds = None,
    mirroring: options.Mirroring = None,
    layers: options.Layers = False,
    trust: options.Trust = False,
    debug: options.Debug = False,
) -> None:
    """Say what a checkpoint is: architecture, inputs, classes, profile and what was guessed."""
    with reporting(debug) as terminal:
        from napari_ies.checkpoints import CheckpointSource
        from napari_ies.checkpoints.sidecar import write_profile_to_complete
        from napari_ies.cli.tables import model_table
        from napari_ies.saliency.gradcam import layers_offered

        chosen = options.choices(folds, mirroring)
        place = (checkpoint, "cpu", orientation, spacing)
        model = CheckpointSource(*place, chosen, class_name, trust).load()
        written = write_profile_to_complete(model, overwrite=overwrite) if write_profile else None
        terminal.show(model_table(model, *layers_offered(model), every_layer=layers))
        if written is not None:
            terminal.note(f"Written to {written}: move what is right from to_complete up.")
