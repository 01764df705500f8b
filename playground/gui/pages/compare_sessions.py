"""The part of the Compare page that concerns comparisons as wholes: new, open, earlier ones, rename, export, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QMenu

from playground import events
from playground.errors import PlaygroundError
from playground.gui import theme
from playground.gui.preferences import is_starter
from playground.gui.widgets import chat_export
from playground.gui.widgets.compare_earlier import EarlierPopup
from playground.gui.widgets.compare_state import Comparing, from_chat
from playground.gui.widgets.preset_picker import NamePopup
from playground.history.records import Chat, Column, SessionRow, VoteRow

if TYPE_CHECKING:
    from playground.gui.pages.compare import ComparePage
    from playground.gui.pages.compare_layout import CompareLayout

KEPT = "compare.open"
"""the preference that remembers which comparison was shown last"""


class CompareSessions:
    """Mixed into the page, apart from it only to keep both readable."""

    ui: CompareLayout
    session_row: SessionRow | None
    columns: list[Column]
    comparing: Comparing
    votes: tuple[VoteRow, ...]
    _order: list[str]
    """of a blind comparison: the shuffled order of its columns"""
    _opening = ""
    _missed: list[Any]
    """events that came while a comparison was being read, which knows nothing of them"""

    def connect_sessions(self: ComparePage) -> None:
        self._missed = []
        self.ui.new.clicked.connect(self.new_comparison)
        self.ui.earlier.clicked.connect(self.open_earlier)
        self.ui.menu.clicked.connect(self.open_menu)

    # -- one of them

    def new_comparison(self: ComparePage) -> None:
        """A draft: nothing is stored before it is run."""
        self._leave()
        self.desk.preferences.set(KEPT, "")
        self._show_draft()
        self.ui.prompt.setFocus()

    def _show_draft(self: ComparePage) -> None:
        self._opening, self.comparison_id, self.session_row = "", "", None
        self.columns, self.votes, self.asked, self._order, self._words = [], (), "", [], ""
        self.comparing = Comparing(())
        self.ui.diff_button.setChecked(False)
        self.ui.prompt.setPlainText("")
        self.ui.system.set_text("")
        self.ui.title.setText("New comparison")
        self.ui.menu.setEnabled(False)
        self._set_running(False)
        self._show_columns()
        self._show_state()
        self.ui.show_view(self.ui.start)

    def ensure_stored(self: ComparePage) -> bool:
        """Makes a draft a comparison of the session's."""
        if self.comparison_id:
            return True
        prompt = self.ui.prompt.toPlainText().strip()
        self._keep_columns()  # for the labels
        made: list[str] = []
        compare = self.desk.session.compare
        if self._try(lambda: made.append(compare.new(prompt, self.ui.system.text(), self.columns))):
            self.comparison_id, self._opening = made[0], ""  # one that is still being read would take the place of this
            self.desk.preferences.set(KEPT, made[0])
            self.ui.menu.setEnabled(True)
        return bool(made)

    def open(self: ComparePage, comparison_id: str = "", generation_id: str = "", start: str = "") -> None:
        """Shows a comparison as it was left, or a new one with the columns of a ready-made start."""
        if start:
            self.new_comparison()
            self.begin_with(start)
            return
        if comparison_id and comparison_id != self.comparison_id:
            self._leave()
            self._opening, self._missed = comparison_id, []
            read = self.desk.session.chat(comparison_id)
            self.desk.when_done(read, self, self._opened, lambda error: self._not_opened(comparison_id, error))
        elif comparison_id:
            self._opening = ""  # back, before another one was there

    def reopen(self: ComparePage) -> None:
        """What was shown when the program was closed."""
        kept = self.desk.preferences.get(KEPT, "")
        if kept and not self.comparison_id and self._opening != kept:
            try:
                future = self.desk.session.chat(kept)
            except PlaygroundError:  # the store is not open yet: `StoreReady` will bring us here again
                return
            self._opening, self._missed = kept, []
            self.desk.when_done(future, self, self._opened, lambda error: self._not_opened(kept))

    def _not_opened(self: ComparePage, comparison_id: str, error: BaseException | None = None) -> None:
        """`error` where somebody is to be told of it."""
        if self._opening != comparison_id:
            return  # another one was asked for meanwhile
        self._opening = ""
        if error is None:
            return
        words = getattr(error, "message", "This comparison could not be opened.")
        self.desk.notify(words, getattr(error, "hint", str(error)), "error")

    def _opened(self: ComparePage, chat: Chat) -> None:
        row = chat.session
        if self._opening != row.id:
            return  # another one was asked for meanwhile
        self._opening = ""
        if row.deleted is not None or row.kind != "compare":
            return
        self.comparison_id, self.session_row, self.columns = row.id, row, list(row.columns)
        self.desk.preferences.set(KEPT, row.id)
        self.comparing = from_chat(chat)
        tip = next((message for message in chat.messages if message.id == row.tip), None)
        self.asked = tip.content.strip() if tip is not None else ""
        self.votes, self._order, self._words = (), [], ""
        self.ui.diff_button.setChecked(False)
        self.ui.prompt.setPlainText(row.prompt)
        self.ui.system.set_text(row.system)
        self.ui.title.setText(row.title or "New comparison")
        self.ui.menu.setEnabled(True)
        running = self.desk.session.compare.running == row.id
        self._show_columns()
        self.ui.board.show_replies(self.comparing)
        self._set_running(running)
        for reply in list(self.comparing.replies.values()):
            self._read_tokens(reply.column_id, reply.generation_id)
        if self.ui.votes.blind.isChecked():
            self._blind_changed(True)
        self.desk.when_done(self.desk.session.compare.votes(row.id), self, lambda votes: self._take_votes(row.id, votes))
        self._show_state()
        missed, self._missed = self._missed, []
        for event in missed:
            self._follow(event)

    def _take_votes(self: ComparePage, comparison_id: str, votes: Any) -> None:
        self.handle(events.VotesChanged(comparison_id, tuple(votes)))

    def _read_tokens(self: ComparePage, column_id: str, generation_id: str) -> None:
        def take(tokens: Any) -> None:
            reply = self.comparing.replies.get(column_id)
            if reply is None or reply.generation_id != generation_id:
                return
            known = len(reply.tokens)
            self.comparing.fill(column_id, generation_id, tokens)
            self.ui.board.add_tokens(column_id, reply.tokens[known:])
            self.ui.board.show_state(column_id)
            if self.ui.stack.currentWidget() is self.ui.diff:
                self.ui.diff.set_sources(self._sources())
            self._show_view()
            self._show_state()

        self.desk.when_done(self.desk.session.tokens(generation_id), self, take)

    def _row_changed(self: ComparePage, row: SessionRow) -> None:
        if row.id != self.comparison_id:
            return
        self.session_row = row
        self.ui.title.setText(row.title or "New comparison")
        if row.deleted is not None:
            self.new_comparison()

    def _leave(self: ComparePage) -> None:
        """What is still in the air belongs to the comparison that is left."""
        if self.comparison_id:
            self.ui.system.commit()
            prompt = self.ui.prompt.toPlainText().strip()
            if self.session_row is not None and prompt != self.session_row.prompt:
                self._tell(lambda compare: compare.set_prompt(self.comparison_id, prompt))
            if self._settle.isActive():
                self._keep_columns()

    # -- the others

    def open_earlier(self: ComparePage) -> None:
        popup = EarlierPopup(self)
        popup.chosen.connect(lambda number: self.open(number))
        popup.unwanted.connect(self._throw_away)
        popup.show_below(self.ui.earlier)
        open_id = self.comparison_id
        self.desk.when_done(self.desk.session.compare.all(), popup, lambda rows: popup.show_rows(rows, open_id))

    def _throw_away(self: ComparePage, comparison_id: str) -> None:
        session = self.desk.session
        if session.compare.running == comparison_id:  # nobody could stop it any more
            session.compare.stop(comparison_id)
        if self._try(lambda: session.delete(comparison_id)):
            self.desk.notify(
                "The comparison was deleted.", action="Undo", key="deleted", run=lambda: session.undelete(comparison_id)
            )

    def open_menu(self: ComparePage) -> None:
        menu = QMenu(self)
        number, title = self.comparison_id, self.session_row.title if self.session_row else ""
        menu.addAction(theme.icon("pencil", "muted"), "Rename…", self._rename)
        menu.addSeparator()
        for form, words in (("md", "Markdown"), ("csv", "CSV"), ("json", "JSON")):
            menu.addAction(
                theme.icon("file-down", "muted"),
                f"Export as {words}…",
                lambda form=form: chat_export.ask_and_write(self, self.desk, number, title or "comparison", form),
            )
        menu.addSeparator()
        menu.addAction(theme.icon("trash-2", "muted"), "Delete", lambda: self._throw_away(number))
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(self.ui.menu.mapToGlobal(QPoint(self.ui.menu.width() - menu.sizeHint().width(), 36)))

    def _rename(self: ComparePage) -> None:
        title = self.session_row.title if self.session_row else ""
        popup = NamePopup("Rename comparison", title, lambda _name: "", self)
        number = self.comparison_id
        popup.accepted = lambda name: self.desk.session.rename(number, name)
        popup.adjustSize()
        popup.move(self.ui.menu.mapToGlobal(QPoint(self.ui.menu.width() - popup.width(), 36)))
        popup.show()
        popup.field.setFocus()

    # -- models

    def _models(self: ComparePage) -> list[tuple[str, str]]:
        """What a column may be decoded with: the loaded model, the starter, and those used lately."""
        from pathlib import Path

        from playground.paths import starter

        loaded = self._model.path
        found = [("", f"{self._model.name or 'The loaded one'} (loaded)")]
        if not is_starter(loaded):
            found.append((str(starter()), "starter"))
        recent = self.desk.preferences.get("recent_models")
        found += [(path, Path(path).stem) for path in recent if isinstance(path, str) and path != loaded]
        return found

    def _model_words(self: ComparePage, path: str) -> str:
        from pathlib import Path

        if path in ("", self._model.path):
            return self._model.name or "loaded model"
        return "starter" if is_starter(path) else Path(path).stem
