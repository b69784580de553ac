"""Notice: something a person should know or decide, above the status line until it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFrame, QHBoxLayout, QWidget

from napari_ies.viewer.panel.controls import button, column, words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Notice(QFrame):
    """A few sentences and the buttons that answer them; hidden while there is nothing to say."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        # Amber, as the lesions' outlines: napari's themes draw no frame of their own.
        self.setStyleSheet(f"#{name} {{ border: none; border-left: 4px solid #d9a441; }}")
        self._text = words(selectable=True)
        self._text.setObjectName(f"{name}_text")
        self._buttons = QHBoxLayout()
        column(self, self._text, self._buttons, spacing=2, margins=(6, 2, 6, 2))
        self.hide()

    @property
    def text(self) -> str:
        """The sentences on show; empty while there is nothing to say."""
        return str(self._text.text()) if not self.isHidden() else ""

    def say(self, text: str, answers: Mapping[str, tuple[str, Callable[[], None]]]) -> None:
        """Show sentences and buttons; each button hides them, then does its work.

        Parameters
        ----------
        text
            Plain text.
        answers
            For each button's text its tooltip and what it does.
        """
        self._clear()
        self._text.setText(text)
        self._buttons.addStretch(1)
        for number, (title, (tooltip, work)) in enumerate(answers.items()):
            answer = button(title, f"{self.objectName()}_{number}", tooltip)
            answer.clicked.connect(lambda _, work=work: self._on_answer(work))
            self._buttons.addWidget(answer)
        self.show()

    def _on_answer(self, work: Callable[[], None]) -> None:
        self.hide()
        work()

    def _clear(self) -> None:
        while (item := self._buttons.takeAt(0)) is not None:
            button = item.widget()  # known to the item no more once its parent is gone
            if button is not None:
                button.setParent(None)
                button.deleteLater()
