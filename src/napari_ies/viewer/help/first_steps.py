"""First steps: what an empty panel says, with a demo one press away."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ies.viewer.panel.availability import describe

WELCOME = (
    "<b>Why did the network mark this lesion?</b><br>Open a patient's images and a checkpoint, "
    "press Segment, then click a lesion."
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
        self.demo = QPushButton("Load the demo")
        describe(
            self.demo,
            "Open a synthetic patient and a small network trained on such patients.",
            "load_demo",
        )
        self.show_help = QPushButton("Show me how")
        describe(self.show_help, "What to do, step by step.", "show_first_steps")
        buttons = QHBoxLayout()
        buttons.addWidget(self.demo)
        buttons.addWidget(self.show_help)
        layout = QVBoxLayout(self)
        layout.addWidget(text)
        layout.addLayout(buttons)
        self.demo.clicked.connect(self.demo_requested)
        self.show_help.clicked.connect(self.help_requested)
