"""What the Models page does with the workshop: opens its parts for a model, carries their wishes, and shows every job in the strip.

Knows page, workshop and library rows; how a part looks is the part's own business. The parts are made when they are first wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject

from playground.errors import PlaygroundError
from playground.gui.ahead import make_ahead, polish
from playground.gui.pages import Desk
from playground.gui.pages.making_jobs import show_making, tell_made

if TYPE_CHECKING:
    from playground.gui.pages.models import ModelsPage
    from playground.gui.widgets.quantize_options import QuantizeOptions
    from playground.gui.widgets.quantize_panel import QuantizePanel
    from playground.gui.widgets.quantize_types import TypesTable
    from playground.gui.widgets.report_form import ReportForm
    from playground.gui.widgets.report_panel import ReportPanel
    from playground.gui.widgets.report_table import ReportTable
    from playground.models.library import Row

FIRST_MS = 600


class ModelsMaking(QObject):
    """See the module's docstring."""

    def __init__(self, page: ModelsPage, desk: Desk) -> None:
        super().__init__(page)
        self._page, self._desk = page, desk
        self._workshop: Any = None
        self._quantize: QuantizePanel | None = None
        self._report: ReportPanel | None = None
        self._told: set[str] = set()
        self._options: QuantizeOptions | None = None
        self._types: TypesTable | None = None
        self._form: ReportForm | None = None
        self._table: ReportTable | None = None
        self._ahead = False

    def set_workshop(self, workshop: Any) -> None:
        """Who does the work; None where there is nobody."""
        self._workshop = workshop
        for part in (self._quantize, self._report):
            if part is not None:
                part.set_workshop(workshop)

    @property
    def quantize_panel(self) -> QuantizePanel:
        """The part for quantizing, made when it is first wanted."""
        if self._quantize is None:
            from playground.gui.widgets.quantize_panel import QuantizePanel

            made = self._quantize = QuantizePanel(self._desk, self._options, self._types)
            made.set_workshop(self._workshop)
            made.closed.connect(lambda: self._page.show_view("library"))
            made.chat_wanted.connect(self._page.chat)
            made.library_wanted.connect(self._show)
            made.report_wanted.connect(self._measure)
        return self._quantize

    @property
    def report_panel(self) -> ReportPanel:
        """The part for reports, made when it is first wanted."""
        if self._report is None:
            from playground.gui.widgets.report_panel import ReportPanel

            made = self._report = ReportPanel(self._desk, self._form, self._table)
            made.set_workshop(self._workshop)
            made.closed.connect(lambda: self._page.show_view("library"))
            made.chat_wanted.connect(self._page.chat)
            made.library_wanted.connect(self._show)
            made.make_wanted.connect(self._make)
        return self._report

    # -- ahead of time

    def prepare(self) -> None:
        """Makes the parts once a model has been chosen, in short steps with pauses, so that opening one is no long one."""
        if not self._ahead:
            quantize, report, add = lambda: self.quantize_panel, lambda: self.report_panel, self._page.add_part
            self._ahead = True
            steps = [
                self._make_options,
                self._make_types,
                quantize,
                *polish(quantize, 3),
                lambda: add(quantize()),
                self._make_form,
                self._make_table,
                report,
                *polish(report, 3),
                lambda: add(report()),
            ]
            make_ahead(self, steps, FIRST_MS)

    def _make_options(self) -> None:
        from playground.gui.widgets.quantize_options import QuantizeOptions

        if self._quantize is None:
            self._options = QuantizeOptions()

    def _make_types(self) -> None:
        from playground.gui.widgets.quantize_types import TypesModel, TypesTable

        if self._quantize is None:
            self._types = TypesTable(TypesModel(self))

    def _make_table(self) -> None:
        from playground.gui.widgets.report_table import ReportModel, ReportTable

        if self._report is None:
            self._table = ReportTable(ReportModel(self))

    def _make_form(self) -> None:
        from playground.gui.widgets.report_form import ReportForm

        if self._report is None:
            self._form = ReportForm()

    # -- intents

    def quantize(self, row: Row) -> None:
        """Opens the part for a model; for an adapter, for its model with the adapter merged in."""
        if row.kind != "adapter":
            self._open_quantize(row)
            return
        rows, name = self._rows(), self._base_name(row)
        from playground.models.adapter_base import find_base

        base = find_base(name, rows, folder=True)
        if base is not None:
            self._open_quantize(base, row.path)
            return
        file = find_base(name, rows)
        if file is not None and not row.path.endswith(".gguf"):
            self._convert_adapter(row, file)
        else:
            self._base_missing(row, name, "It is merged into the folder of its model")

    def report(self, row: Row) -> None:
        """Opens the part that measures, for all versions of a model."""
        self.report_panel.open(self._rows(), row.path)
        self._page.show_part(self.report_panel)

    def chat_with_adapter(self, row: Row) -> None:
        """Loads an adapter's model with it on: the one that is loaded if it is that, else the one in the library."""
        from playground.models.adapter_base import find_base

        name, rows = self._base_name(row), self._rows()
        loaded = self._desk.session.model
        here = [each for each in rows if loaded.info is not None and each.path == loaded.info.path]
        base = find_base(name, here) or find_base(name, rows)
        if base is not None:
            self._page.chat(base.path, row.path)
        elif loaded.info is not None and not name:
            self._page.chat(loaded.info.path, row.path)  # it does not say what it is for: the engine will, if it does not fit
        else:
            self._base_missing(row, name, "It is loaded beside its model")

    def _make(self, original: str, kind: str) -> None:
        row = self._page.library.model.row_at(original)
        if row is not None:
            self._open_quantize(row, kind=kind)
        else:
            self._desk.notify("The original is not among the models any more.", f"It was {original}.", "warning", key="report")

    def _open_quantize(self, row: Row, adapter: str = "", kind: str = "") -> None:
        known = [(each.name, each.path) for each in self._rows() if each.kind == "adapter" and not each.problem]
        peft = [(name, path) for name, path in known if not path.endswith(".gguf")]
        self.quantize_panel.open(row, peft, adapter, kind)
        self._page.show_part(self.quantize_panel)

    def _convert_adapter(self, row: Row, base: Row) -> None:
        """Only a GGUF file of its model is here: nothing can be merged, but the adapter itself can be converted for it."""

        def convert() -> None:
            try:
                self._workshop.adapter(row.path, base.path)
            except PlaygroundError as error:
                self._desk.notify(error.message, error.hint, "error", key="adapter")

        self._desk.notify(
            f"The folder of {row.name}'s model is not here, so that it cannot be merged.",
            f"It can be converted to a GGUF adapter for {base.name}.",
            "warning",
            "Convert it",
            "adapter",
            convert,
        )

    def _base_missing(self, row: Row, name: str, why: str) -> None:
        if not name:
            hint = "It does not say which model that is: load the model, then choose the adapter at the top of the chat."
            self._desk.notify(f"{why}, and {row.name} does not name one.", hint, "warning", key="adapter")
            return
        search = lambda: self._desk.open_page("models", search=name.rpartition("/")[2])  # noqa: E731
        self._desk.notify(f"{why}, {name}, which is not on this computer.", "", "warning", "Search the hub", "adapter", search)

    def _base_name(self, row: Row) -> str:
        from playground.models.adapter_base import named_base

        try:
            return named_base(row.path)
        except PlaygroundError as error:
            self._desk.notify(error.message, error.hint, "error", key="adapter")
            return ""

    def _rows(self) -> tuple[Row, ...]:
        return self._page.library.model.rows()

    def _show(self, path: str) -> None:
        self._page.open(path=path)

    def _measure(self, original: str, made: Sequence[str]) -> None:
        self.report_panel.open(self._rows(), original, made)
        self._page.show_part(self.report_panel)

    # -- jobs

    def take(self, event: Any) -> None:
        """A job is new, further, or gone (`JobChanged`)."""
        for part in (self._quantize, self._report):
            if part is not None:
                part.take(event)
        making = event.making
        show_making(self._page.window(), making, event.removed, lambda job: self._workshop.cancel(job))
        if making.ended and making.id not in self._told and not event.removed:
            self._told.add(making.id)
            self._tell_end(making)

    def _tell_end(self, making: Any) -> None:
        """One who looks at the part sees it there; all others are told."""
        part = self._report if making.kind == "report" else self._quantize
        if part is not None and self._page.in_sight(part) and making.kind != "adapter":
            return
        if making.state == "done" and making.kind == "report":
            key = f"making.{making.id}"
            self._desk.notify(f"{making.title}: measured.", "", "info", "Show", key, self._show_report)
        else:

            def show() -> None:
                self._desk.open_page("models")
                self._show(making.path)

            tell_made(self._desk, making, show)

    def _show_report(self) -> None:
        self._desk.open_page("models")
        self._page.show_part(self.report_panel)
