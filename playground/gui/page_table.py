"""The pages of the window as one table. Knows where each page's class is, and imports none.

To add a page: one `Entry` in `PAGES`, at its place in the order of the work. That gives it its button in the rail, Ctrl+1, Ctrl+2 ... in
the rail's order, its line in the menu View and in the list of keys. Then write `playground/gui/pages/<id>.py`:

    class TrainPage(QWidget):
        title, icon = "Train", "graduation-cap"

        def __init__(self, desk: Desk, parent: QWidget | None = None) -> None: ...   # `Page(desk)`, when it is opened for the first time

What a page gets is its `desk` (`playground.gui.pages.Desk`): `session`, `preferences`, `home`, `notify(...)`, `open_page("chat",
chat_id=...)`, `ask_for_model()`, `when_done(future, self, callback, on_error)`. What the window asks of it in return is
`playground.gui.pages.Page`, all of it optional: `handle(event)` gets every event of the session from then on, on the window's thread
(what was before is asked of the session in `__init__`); `actions()` are its keys and menu lines, in force while it is shown, in the menus
that `actions.MENUS` names; `open(**arguments)` shows something particular, after the page itself. `setFocusProxy` says what has the focus
when it is shown. Its object name becomes `page.<id>`; the names within are `<id>.role`.

The icon is a file of `resources/icons`, from the same set as the others, without its ending. A page that is opened from another one goes
into `PARTS`, with `under` naming that one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A page: where its class is, and how the rail shows it."""

    id: str
    title: str
    icon: str
    place: str
    """`module:class`, imported when the page is opened for the first time"""
    foot: bool = False
    """at the foot of the rail, and not kept as the page to begin with the next time"""
    under: str = ""
    """the page that it is a part of: it is opened from there, and the rail shows that one"""


PAGES: tuple[Entry, ...] = (
    Entry("models", "Models", "boxes", "playground.gui.pages.models:ModelsPage"),
    Entry("chat", "Chat", "message-square", "playground.gui.pages.chat:ChatPage"),
    Entry("compare", "Compare", "columns-3", "playground.gui.pages.compare:ComparePage"),
    Entry("inside", "Inside", "scan-eye", "playground.gui.pages.inside:InsidePage"),
    Entry("train", "Train", "graduation-cap", "playground.gui.pages.train:TrainPage"),
    Entry("log", "Log", "scroll-text", "playground.gui.pages.log:LogPage"),
    Entry("settings", "Settings", "settings", "playground.gui.pages.settings:SettingsPage", foot=True),
)
"""in the order of the work: get, chat, compare, look inside, train, look back; the settings at the foot"""

PARTS: tuple[Entry, ...] = (
    Entry("sets", "Many prompts", "table-2", "playground.gui.pages.sets:SetsPage", under="compare"),
    Entry("beam", "Beam search", "flask-conical", "playground.gui.pages.beam:BeamPage", under="chat"),
    Entry("builder", "Prompt builder", "list-plus", "playground.gui.pages.builder:BuilderPage", under="chat"),
)
"""pages that are opened from another one"""


def in_rail(entries: Iterable[Entry]) -> Iterator[tuple[Entry, str]]:
    """What the rail shows, each with its key: Ctrl+1 for the first (none after the ninth), Ctrl+, for the settings at the foot."""
    number = 0
    for entry in entries:
        if entry.under:
            continue
        if entry.foot:
            yield entry, "Ctrl+,"
        else:
            number += 1
            yield entry, f"Ctrl+{number}" if number <= 9 else ""
