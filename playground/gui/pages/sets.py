"""Many prompts through the columns of a comparison: a page below Compare. How it looks and what it does is `widgets.sets_panel`'s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from playground.gui.pages import Desk
from playground.gui.widgets.sets_panel import SetsPanel

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from playground.history.records import Column, SessionRow


class SetsPage(SetsPanel):
    """`open(columns=..., system=...)` to begin a set, `open(set_id=...)` to see one."""

    title = "Many prompts"
    icon = "table-2"

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(desk, parent)
        self.setFocusProxy(self.setup.text)
        self.closed.connect(lambda: desk.open_page("compare"))

    def open(self, columns: Sequence[Column] = (), system: str = "", set_id: str = "") -> None:  # type: ignore[override]
        """Shows a set, or where one begins."""
        if set_id:
            self.open_set(set_id)
        else:
            super().open(columns, system)


def offer_to_go_on(desk: Desk, rows: Sequence[tuple[SessionRow, int, int]]) -> None:
    """Says which set was left in the middle when the program ended, with a button to it. `rows`: as `PromptSets.unfinished`."""
    if desk.session.prompt_sets.running:
        return
    row, done, total = rows[0]
    more = f" {len(rows) - 1} more are in the list." if len(rows) > 1 else ""
    desk.notify(
        f"“{row.title}” was left at {done:,} of {total:,} replies.{more}",
        "It goes on where it was.",
        "info",
        "Show it",
        "sets",
        lambda: desk.open_page("sets", set_id=row.id),
    )
