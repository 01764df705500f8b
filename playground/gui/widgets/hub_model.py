"""One model of the hub: what it is, what can be had of it, whether that fits, and its card.

Shows what it is given (`show_found`, `show_page`, `show_verdicts`, `show_card`) and tells what is wanted; asks nobody.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QLabel,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from playground.gui import theme
from playground.gui.form import line
from playground.gui.widgets.amounts import count, tokens
from playground.gui.widgets.card_view import CardView
from playground.gui.widgets.choice_row import ChoiceRow
from playground.gui.widgets.elided_label import ElidedLabel
from playground.gui.widgets.fit_panel import FitPanel
from playground.gui.widgets.part_head import scroll_column
from playground.gui.widgets.segments import tabs
from playground.gui.widgets.state_view import StateView
from playground.gui.widgets.token_field import TokenField

TABS = (
    ("files", "Files", "What can be downloaded, and whether it fits"),
    ("fit", "Fit", "Sliders for the memory that a file would take"),
    ("card", "Card", "What its authors say of it"),
)
AT_ONCE = 8
"""rows are made so many at a time, so that a repository of a hundred files does not stall the window"""


class HubModel(QFrame):
    """Object names: `models.page`, `models.page.<tab>`, `models.hub.fit`, `models.why`."""

    get_wanted = Signal(object)
    open_wanted = Signal(object)
    picked = Signal(object)
    card_wanted = Signal()
    token_entered = Signal(str)

    def __init__(self, fits: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("models.page")
        theme.mark(self, surface="surface")
        self.page: Any = None
        self.rows: dict[str, ChoiceRow] = {}
        self._pending: list[Any] = []
        self._verdicts: Any = None
        self._downloads: dict[str, Any] = {}
        self._here: dict[str, str] = {}
        self._more = QTimer(self)
        self._more.setInterval(0)
        self._more.timeout.connect(self._make_rows)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 16, 16, 8)
        column.setSpacing(8)
        self.title = ElidedLabel()
        theme.mark(self.title, role="title")
        self.facts = ElidedLabel()
        theme.mark(self.facts, role="muted")
        column.addWidget(self.title)
        column.addWidget(self.facts)
        self.gate = TokenField()
        self.gate.entered.connect(self.token_entered)
        column.addWidget(self.gate)
        self.tabs = tabs("models.page", TABS, self)
        self.tabs.idClicked.connect(self.open_tab)
        column.addLayout(line(*self.tabs.buttons(), 1, spacing=4))
        # Each widget is made inside the one it belongs to: given away with all that is in it, it would be styled anew each time.
        self._stack = QStackedWidget(self)
        column.addWidget(self._stack, 1)
        self._stack.addWidget(self._files())
        self._stack.addWidget(self._fit(fits))
        self.card = CardView(self._stack)
        self._stack.addWidget(self.card)
        self.state = StateView("models.page")
        self._stack.addWidget(self.state)

    # -- parts

    def _files(self) -> QWidget:
        holder = QWidget(self._stack)
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        self.why = QLabel(" ")
        self.why.setObjectName("models.why")
        self.why.setWordWrap(True)
        theme.mark(self.why, role="small")
        column.addWidget(self.why)
        area, self._list = scroll_column(holder, 4)
        self._list.setSpacing(0)
        self._list.addStretch(1)
        column.addWidget(area, 1)
        return holder

    def _fit(self, fits: Any) -> QWidget:
        area, column = scroll_column(self._stack, 16)
        column.setSpacing(12)
        self.choice = QComboBox(area.widget())
        self.choice.setObjectName("models.hub.fit.choice")
        self.choice.setAccessibleName("File")
        self.choice.setToolTip("The file that the estimate is for")
        self.choice.setMaximumWidth(280)
        self.choice.activated.connect(lambda place: self.pick(self.choice.itemData(place)))
        column.addWidget(self.choice)
        self.fit = FitPanel(fits, "models.hub.fit", area.widget())
        self.fit.setMaximumWidth(560)
        column.addWidget(self.fit, 1)
        return area

    # -- content

    def show_found(self, found: Any) -> None:
        """A result of the search: its page is on its way."""
        self._clear()
        self.page = None
        self.gate.hide()
        self._head(found)
        self._tabs_enabled(False)
        self.state.say("Asking the hub…", "", busy=True)
        self._stack.setCurrentWidget(self.state)

    def show_trouble(self, title: str, text: str, button: str, way_out: Any, icon: str = "wifi-off") -> None:
        """The page could not be had."""
        self._tabs_enabled(False)
        self.state.say(title, text, button, way_out, icon)
        self._stack.setCurrentWidget(self.state)

    def show_page(self, page: Any, downloads: dict[str, Any], here: dict[str, str]) -> None:
        """The model's page; `downloads` and `here` by the choice's path."""
        self._clear()
        self.page, self._downloads, self._here = page, downloads, here
        self._head(page.found)
        self.gate.hide()
        if not page.choices:
            self.show_trouble(
                "Nothing to download here", "This repository holds no GGUF or safetensors files.", "", None, "file"
            )
            return
        self._tabs_enabled(True)
        self._pending = list(page.choices)
        self.choice.clear()
        for each in page.choices:
            if each.kind in ("gguf", "safetensors") and each.complete:
                self.choice.addItem(each.label, each)
        self.why.setText("Reading the header to see what fits…")
        self._make_rows()
        self.tabs.button(0).setChecked(True)
        self._stack.setCurrentIndex(0)

    def show_verdicts(self, verdicts: Any) -> None:
        """`ChoiceVerdicts` of the page that is shown."""
        self._verdicts = verdicts
        best = verdicts.recommended
        said = best.why if verdicts.verdicts else "Whether it fits is not known: its header cannot be read."
        self.why.setText(f"{said} {verdicts.note}".strip())
        for row in self.rows.values():
            self._judge(row)
        if best.choice is not None and not any(row.chosen for row in self.rows.values()):
            self.pick(best.choice)

    def show_no_verdicts(self, sentence: str) -> None:
        self.why.setText(sentence)

    def show_downloads(self, downloads: dict[str, Any], here: dict[str, str]) -> None:
        """Where the downloads of this page are now."""
        self._downloads, self._here = downloads, here
        for path, row in self.rows.items():
            row.show_download(downloads.get(path), here.get(path, ""))

    def pick(self, choice: Any) -> None:
        """Makes a choice the one that the estimate is for."""
        for row in self.rows.values():
            row.mark_chosen(row.choice is choice)
        place = self.choice.findData(choice)
        if place >= 0:
            self.choice.setCurrentIndex(place)
            self.picked.emit(choice)

    def open_tab(self, place: int) -> None:
        self.tabs.button(place).setChecked(True)
        self._stack.setCurrentIndex(place)
        if TABS[place][0] == "card":
            self.card_wanted.emit()

    # -- inside

    def _head(self, found: Any) -> None:
        self.title.setText(found.repo)
        facts = (
            f"{count(found.parameters)} parameters" if found.parameters else "",
            found.architecture,
            f"{tokens(found.context)} context" if found.context else "",
            found.licence,
            f"{found.downloads:,} downloads",
            f"{found.likes:,} likes",
            f"changed {found.modified}" if found.modified else "",
            "gated" if found.gated else "",
        )
        self.facts.setText("  ·  ".join(each for each in facts if each))

    def _tabs_enabled(self, enabled: bool) -> None:
        for place in range(len(TABS)):
            self.tabs.button(place).setEnabled(enabled)

    def _clear(self) -> None:
        self._more.stop()
        self._pending, self._verdicts = [], None
        for row in self.rows.values():
            self._list.removeWidget(row)
            row.hide()
            row.deleteLater()
        self.rows = {}
        self.card.show_card("")
        self.fit.show_message("Choose a file to see what it takes.")

    def _make_rows(self) -> None:
        for choice in self._pending[:AT_ONCE]:
            row = ChoiceRow(choice)
            row.get_wanted.connect(self.get_wanted)
            row.open_wanted.connect(self.open_wanted)
            row.picked.connect(self.pick)
            self._list.insertWidget(self._list.count() - 1, row)
            self.rows[choice.path] = row
            row.show_download(self._downloads.get(choice.path), self._here.get(choice.path, ""))
            self._judge(row)
        del self._pending[:AT_ONCE]
        if self._pending:
            self._more.start()
        else:
            self._more.stop()

    def _judge(self, row: ChoiceRow) -> None:
        if self._verdicts is None:
            row.show_verdict(None)
            return
        row.show_verdict(self._verdicts.verdicts.get(row.choice.path))
        best = self._verdicts.recommended
        row.mark_recommended(best.why if best.choice is not None and best.choice.path == row.choice.path else "")
