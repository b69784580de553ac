"""First steps: what an empty panel says, with a demo one press away."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from napari_ies.viewer.panel.controls import button, row

WELCOME = (
    "<b>Why did the network mark this lesion?</b><br><b>Open patient…</b> takes a patient's folder "
    "and segments it, once a checkpoint is known. Then click a lesion."
)


class FirstSteps(QFrame):
    """A hint for whoever opens the panel for the first time."""

    demo_requested = Signal()
    """Load the synthetic patient and its network."""
    help_requested = Signal()
    """Show the first page of the help."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("first_steps")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        text = QLabel(WELCOME)
        text.setWordWrap(True)
        about = (
            "Open a synthetic patient, segmented by a small network that was trained on such "
            "patients."
        )
        demo = button("Load the demo", "load_demo", about, self.demo_requested)
        about = "What to do, step by step."
        show_help = button("Show me how", "show_first_steps", about, self.help_requested)
        layout = QVBoxLayout(self)
        layout.addWidget(text)
        layout.addLayout(row(demo, show_help))
