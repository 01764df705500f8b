"""The part of the Compare page that concerns its columns: which there are, what they are set to, and where one forks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication

from playground.decoding.sweeps import MOST, Labelled
from playground.gui.widgets import compare_start
from playground.gui.widgets.alternatives import Alternatives
from playground.gui.widgets.compare_state import Comparing, labels
from playground.gui.widgets.compare_sweep import SweepPopup
from playground.gui.widgets.token_marks import TokenMark
from playground.history.records import Column, new_id
from playground.params import PRESETS, SamplingSettings

if TYPE_CHECKING:
    from playground.gui.pages.compare import ComparePage
    from playground.gui.pages.compare_layout import CompareLayout


class CompareColumns:
    """Mixed into the page, apart from it only to keep both readable."""

    ui: CompareLayout
    comparing: Comparing
    columns: list[Column]
    running: bool
    _alternatives: Alternatives | None = None

    # -- columns

    def set_columns(self: ComparePage, columns: Sequence[Column]) -> None:
        """Other columns; those that keep their id keep their replies."""
        self.columns = list(columns)
        self._keep_columns()
        gone = set(self.comparing.replies) - {column.id for column in columns}
        for number in gone:
            self.comparing.forget(number)
        self._show_columns()
        if gone:
            self.ui.board.refresh_overlays()
        if self.comparison_id:
            self._say_plan()

    def begin_with(self: ComparePage, start: str) -> None:
        """Columns of a ready-made start."""
        self.take_columns(compare_start.columns_of(start, self._base()))

    def take_columns(self: ComparePage, found: Sequence[Labelled]) -> None:
        """The columns of a rule, in place of those there are."""
        model = self.columns[0].model if self.columns else ""
        start = self.columns[0].reply_start if self.columns else ""
        if self.running:
            self.stop()
        self.comparing = Comparing(())
        self.set_columns([Column(new_id(), each.settings, start, each.label, model) for each in found])
        self.ui.board.show_replies(self.comparing)
        self._show_view(board=True)
        self.ui.prompt.setFocus()

    def add_column(self: ComparePage) -> None:
        if len(self.columns) >= MOST:
            return
        first = replace(self.columns[-1], id=new_id()) if self.columns else Column(new_id(), self._base())
        more = [] if self.columns else [Column(new_id(), self._base())]
        self.set_columns([*self.columns, *more, first])
        self._show_view(board=True)
        view = self.ui.board.view(first.id)
        if view is not None:
            QTimer.singleShot(0, view, lambda: self.ui.board.ensureWidgetVisible(view, 0, 0))

    def move_column(self: ComparePage, column_id: str, place: int) -> None:
        """To another place, counted from 0 without it."""
        column = self._column(column_id)
        rest = [each for each in self.columns if each.id != column_id]
        self.set_columns([*rest[:place], column, *rest[place:]])

    def _column(self: ComparePage, column_id: str) -> Column:
        return next(each for each in self.columns if each.id == column_id)

    def _base(self: ComparePage) -> SamplingSettings:
        return self.columns[0].settings if self.columns else self.desk.session.sampling

    def open_sweep(self: ComparePage) -> None:
        popup = SweepPopup(self._base(), {**PRESETS, **self.desk.preferences.presets()}, self)
        popup.made.connect(self.take_columns)
        popup.show_below(self.ui.sweep)

    def open_many(self: ComparePage) -> None:
        """A list of prompts through these columns."""
        self._keep_columns()
        self.desk.open_page("sets", columns=tuple(self.columns), system=self.ui.system.text())

    def _column_asks(self: ComparePage, what: str, column_id: str) -> None:
        if what == "stop":
            self._tell(lambda compare: compare.stop(self.comparison_id, column_id))
        elif what == "run":
            self.run([column_id])
        elif what == "copy":
            reply = self.comparing.replies.get(column_id)
            QGuiApplication.clipboard().setText(reply.text if reply else "")
            self.desk.notify("The reply is in the clipboard.", key="copied")
        elif what == "duplicate" and len(self.columns) < MOST:
            place = self.columns.index(self._column(column_id)) + 1
            self.set_columns([*self.columns[:place], replace(self._column(column_id), id=new_id()), *self.columns[place:]])
        elif what == "remove" and len(self.columns) > 1:
            self._tell(lambda compare: compare.stop(self.comparison_id, column_id))
            self.set_columns([each for each in self.columns if each.id != column_id])

    # -- another token

    def show_alternatives(self: ComparePage, column_id: str, index: int) -> None:
        """What else could have stood in a token's place; taking one of these makes a column that goes on from there."""
        reply, view = self.comparing.replies.get(column_id), self.ui.board.view(column_id)
        if reply is None or view is None or index >= len(reply.tokens) or self.hidden:
            return
        if self._alternatives is None:
            self._alternatives = Alternatives(self)
            self._alternatives.chosen.connect(self._fork)
            self._alternatives.left.connect(lambda: self.ui.prompt.setFocus())
        start = len(reply.start) + sum(len(token.text) for token in reply.tokens[:index])
        token = reply.tokens[index]
        mark = TokenMark(start, start + len(token.text), token, reply.generation_id, index)
        near = view.pane.token_rect(index)
        near.moveTopLeft(view.pane.viewport().mapTo(self, near.topLeft()))
        can_fork = not self.running and len(self.columns) < MOST
        self._alternatives.show_mark(mark, near, index + 1, can_fork, pin=True)

    def _fork(self: ComparePage, mark: TokenMark, token_id: int) -> None:
        reply = next((each for each in self.comparing.replies.values() if each.generation_id == mark.generation_id), None)
        words = next((text for number, text, *_ in mark.candidates if number == token_id), None)
        if reply is None or words is None or len(self.columns) >= MOST or self.running:
            return
        column = self._column(reply.column_id)
        place = self.columns.index(column) + 1
        before = reply.start + "".join(token.text for token in reply.tokens[: mark.index])
        fork = replace(column, id=new_id(), reply_start=before + words)
        self.set_columns([*self.columns[:place], fork, *self.columns[place:]])
        self.run([fork.id])

    # A field that loses the focus with its column tells what stood in it: that is nobody's any more.

    def _sampling_changed(self: ComparePage, column_id: str, settings: SamplingSettings) -> None:
        if all(each.id != column_id for each in self.columns):
            return
        self.columns = [replace(each, settings=settings) if each.id == column_id else each for each in self.columns]
        view = self.ui.board.view(column_id)
        if view is not None:
            view.column = self._column(column_id)
        self._tell(lambda compare: compare.set_sampling(self.comparison_id, column_id, settings))
        self._show_titles()
        self._settle.start()

    def _field_changed(self: ComparePage, column_id: str, fields: dict[str, Any]) -> None:
        if all(each.id != column_id for each in self.columns):
            return
        changed = replace(self._column(column_id), **fields)
        if changed == self._column(column_id):
            return
        self.columns = [changed if each.id == column_id else each for each in self.columns]
        view = self.ui.board.view(column_id)
        if view is not None:
            view.column = changed
        self._keep_columns()
        self._show_titles()
        self._show_can_run()
        if "model" in fields:
            self._say_plan()

    def _keep_columns(self: ComparePage) -> None:
        """Columns as they stand, with labels that say what they are."""
        self._settle.stop()
        words = labels(self.columns, self._model_words) if self.columns else []
        self.columns = [replace(column, label=label) for column, label in zip(self.columns, words, strict=True)]
        self._tell(lambda compare: compare.set_columns(self.comparison_id, self.columns))

    def _say_plan(self: ComparePage) -> None:
        """What another model will take, before it is loaded."""
        if not self.ensure_stored():
            return
        number = self.comparison_id

        def said(sentences: list[str]) -> None:
            if number == self.comparison_id:
                self._words = " ".join(sentences)
                self._show_state()

        def refused(error: BaseException) -> None:
            self.desk.notify(getattr(error, "message", str(error)), getattr(error, "hint", ""), "warning", key="plan")

        self.desk.when_done(self.desk.session.compare.plan(number), self, said, refused)
