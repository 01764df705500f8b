"""The models page's second view: search, results, one model. Nothing is asked before the user asks; a stale answer is dropped.

Knows the shelf, whose futures it waits for; that nobody answers is a state of this view and no error.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from playground.errors import GatedError, OfflineError
from playground.gui import theme
from playground.gui.pages import Desk
from playground.gui.widgets.hub_filters import HubFilters
from playground.gui.widgets.hub_model import HubModel
from playground.gui.widgets.hub_results import HubResults, ResultsModel
from playground.gui.widgets.state_view import StateView

DEBOUNCE_MS = 300
LIST_WIDTH = 344


class HubView(QWidget):
    """`chat_wanted(path)` for a choice that is here already."""

    chat_wanted = Signal(str)

    def __init__(self, desk: Desk, shelf: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk, self._shelf = desk, shelf
        self._search_number = self._page_number = 0
        self._results: Any = None
        self._asked: Any = None
        self._found: Any = None
        self._held: dict[str, int] = {}
        self._card_of = ""
        self._debounce = QTimer(self)
        self._debounce.setSingleShot(True)
        self._debounce.setInterval(DEBOUNCE_MS)
        self._debounce.timeout.connect(self.search)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self._left())
        self._right = QStackedWidget(self)
        self.blank = StateView("models.blank")
        self.blank.say("Choose a model", "Its files, what fits this computer, and its card appear here.", icon="file-text")
        self._page: HubModel | None = None
        self._right.addWidget(self.blank)
        row.addWidget(self._right, 1)
        self.setFocusProxy(self.filters.words)
        self._say_welcome()

    @property
    def page(self) -> HubModel:
        """The place of one model, made when it is first wanted."""
        if self._page is None:
            made = self._page = HubModel(self._shelf.fits if self._shelf is not None else None, self._right)
            made.get_wanted.connect(self._get)
            made.open_wanted.connect(self._open)
            made.picked.connect(self._pick)
            made.card_wanted.connect(self._ask_card)
            made.token_entered.connect(self._take_token)
            if self._held:
                made.fit.set_held(self._held)
            self._right.addWidget(made)
        return self._page

    def set_shelf(self, shelf: Any) -> None:
        """The shelf is there now."""
        self._shelf = shelf
        if self._page is not None:
            self._page.fit.set_fits(shelf.fits)

    def _left(self) -> QWidget:
        # Each widget is made inside the one it belongs to: given away with all that is in it, it would be styled anew each time.
        holder = QFrame(self)
        holder.setFixedWidth(LIST_WIDTH)
        theme.mark(holder, surface="surface", line="right")
        column = QVBoxLayout(holder)
        column.setContentsMargins(16, 8, 12, 0)
        column.setSpacing(12)
        self.filters = HubFilters(holder)
        self.filters.typed.connect(self._typed)
        self.filters.changed.connect(self._changed)
        self.filters.entered.connect(self.search)
        column.addWidget(self.filters)
        self.model = ResultsModel(self)
        self.model.more_wanted.connect(self._more)
        self._list = QStackedWidget(holder)
        self.results = HubResults(self.model, self._list)
        self.results.chosen.connect(self.show_model)
        self.state = StateView("models.results")
        self._list.addWidget(self.results)
        self._list.addWidget(self.state)
        column.addWidget(self._list, 1)
        return holder

    # -- search

    def _say_welcome(self) -> None:
        self.state.say(
            "Search the hub",
            "Nothing is asked before you ask.",
            "Show popular models",
            self.search,
            "globe",
        )
        self._list.setCurrentWidget(self.state)

    def _typed(self) -> None:
        if self.filters.words.text().strip() or self._asked is not None:
            self._debounce.start()

    def _changed(self) -> None:
        if self._asked is not None or self.filters.words.text().strip():  # not before there was a question
            self._debounce.start()

    def search(self) -> None:
        """Asks for what the controls say."""
        self._debounce.stop()
        if self._shelf is None:
            return
        query = self.filters.query()
        self._search_number += 1  # what was asked before is of something else
        if not query.formats:
            self.state.say("Neither GGUF nor safetensors", "Choose at least one of the two formats above.", icon="list-filter")
            self._list.setCurrentWidget(self.state)
            return
        self._asked = query
        number = self._search_number
        if not self.model.rowCount():
            self.state.say("Searching…", "", busy=True)
            self._list.setCurrentWidget(self.state)

        def take(results: Any) -> None:
            if number == self._search_number:
                self._show_results(results)

        def fail(error: BaseException) -> None:
            if number == self._search_number:
                self._fail_search(error)

        self._desk.when_done(self._shelf.search(query), self, take, fail)

    def _show_results(self, results: Any) -> None:
        self._results = results
        self.model.show_results(results.rows, results.ended)
        if results.rows:
            self._list.setCurrentWidget(self.results)
            place = self.model.place_of(self._found.repo) if self._found is not None else -1
            if place >= 0:
                self.results.setCurrentIndex(self.model.index(place, 0))
        else:
            self.state.say("Nothing found", "Try other words, or fewer filters.", icon="search")
            self._list.setCurrentWidget(self.state)

    def _fail_search(self, error: BaseException) -> None:
        self.model.show_results((), True)
        message, hint = getattr(error, "message", str(error)), getattr(error, "hint", "")
        if isinstance(error, OfflineError):
            self.state.say("The hub cannot be reached", f"{message} {hint}".strip(), "Try again", self.search, "wifi-off")
        else:
            self.state.say("The search did not work", f"{message} {hint}".strip(), "Try again", self.search, "circle-alert")
        self._list.setCurrentWidget(self.state)

    def _more(self) -> None:
        results, number = self._results, self._search_number
        if results is None or self._shelf is None:
            return

        def take(more: Any) -> None:
            if number == self._search_number:
                self._results = more
                self.model.add(more.rows, more.ended)

        def fail(error: BaseException) -> None:
            if number == self._search_number:
                self.model.add((), True)
                self._desk.notify(
                    getattr(error, "message", str(error)), getattr(error, "hint", ""), "warning", key="models.hub"
                )

        self._desk.when_done(self._shelf.more(results), self, take, fail)

    # -- one model

    def show_model(self, found: Any) -> None:
        """Asks for the page of a result."""
        if self._found is not None and found.repo == self._found.repo and self.page.page is not None:
            return
        self._found = found
        self._right.setCurrentWidget(self.page)
        self.page.show_found(found)
        self._ask_page()

    def _ask_page(self) -> None:
        self._page_number += 1
        number, found = self._page_number, self._found

        def take(page: Any) -> None:
            if number == self._page_number:
                self._show_page(number, page)

        def fail(error: BaseException) -> None:
            if number == self._page_number:
                self._fail_page(error)

        self._desk.when_done(self._shelf.page(found.repo), self, take, fail)

    def _show_page(self, number: int, page: Any) -> None:
        self._card_of = ""
        self.page.show_page(page, *self._where(page))
        if page.access == "gated":
            self._ask_token(page.repo, "Its authors ask for a login and an agreement before it can be downloaded.")
        if not page.choices:
            return

        def take(verdicts: Any) -> None:
            if number == self._page_number:
                self.page.show_verdicts(verdicts)

        self._desk.when_done(
            self._shelf.fits.choices(page, self._held),
            self,
            take,
            lambda error: (
                self.page.show_no_verdicts("What fits cannot be said without a header.")
                if number == self._page_number
                else None
            ),
        )

    def _fail_page(self, error: BaseException) -> None:
        message, hint = getattr(error, "message", str(error)), getattr(error, "hint", "")
        if isinstance(error, GatedError):
            self.page.show_trouble("This model is gated", f"{message} {hint}".strip(), "Try again", self._ask_page, "lock")
            self._ask_token(self._found.repo, message)
        elif isinstance(error, OfflineError):
            self.page.show_trouble("The hub cannot be reached", f"{message} {hint}".strip(), "Try again", self._ask_page)
        else:
            self.page.show_trouble(
                "The model could not be shown", f"{message} {hint}".strip(), "Try again", self._ask_page, "circle-alert"
            )

    def _ask_card(self) -> None:
        page, number = self.page.page, self._page_number
        if page is None or self._card_of == page.repo:
            return
        self._card_of = page.repo
        self.page.card.show_card("*Asking for the card…*")

        def take(text: str) -> None:
            if number == self._page_number:
                self.page.card.show_card(text or "*This model has no card.*")

        def fail(error: BaseException) -> None:
            if number == self._page_number:
                self._card_of = ""
                self.page.card.show_card(f"The card could not be had. {getattr(error, 'message', error)}")

        self._desk.when_done(self._shelf.card(page.repo), self, take, fail)

    def _pick(self, choice: Any) -> None:
        page, number = self.page.page, self._page_number
        if page is None or self._shelf is None:
            return

        def still() -> bool:
            return number == self._page_number and self.page.choice.currentData() is choice

        def take(subject: Any) -> None:
            if still():
                self.page.fit.show_subject(subject, self._held)

        def fail(error: BaseException) -> None:
            if still():
                self.page.fit.show_message(f"{getattr(error, 'message', error)} {getattr(error, 'hint', '')}".strip())

        if self.page.fit.subject() is None:
            self.page.fit.show_message("Reading the header…")
        self._desk.when_done(self._shelf.fits.of_choice(page, choice), self, take, fail)

    # -- token

    def _ask_token(self, repo: str, sentence: str) -> None:
        self.page.gate.ask(sentence, f"https://huggingface.co/{repo}")

    def _take_token(self, token: str) -> None:
        def take(name: str) -> None:
            self.page.gate.say("The token is accepted.")
            self._ask_page()

        def fail(error: BaseException) -> None:
            self.page.gate.say(
                f"{getattr(error, 'message', 'The token could not be kept.')} {getattr(error, 'hint', '')}".strip()
            )

        self._desk.when_done(self._shelf.set_token(token), self, take, fail)

    # -- downloads

    def take_download(self, event: Any) -> None:
        """A download has come further: the row of its choice says so."""
        page = self._page.page if self._page is not None else None
        if page is not None and event.download.repo == page.repo:
            self.page.show_downloads(*self._where(page))

    def set_held(self, held: dict[str, int]) -> None:
        if held != self._held:
            self._held = held
            if self._page is not None:
                self._page.fit.set_held(held)

    def library_changed(self) -> None:
        if self._page is not None and self._page.page is not None:
            self.page.show_downloads(*self._where(self.page.page))

    def _where(self, page: Any) -> tuple[dict[str, Any], dict[str, str]]:
        """Downloads of a page's choices, and the paths of those that are here, by the choice's path."""
        mine = [each for each in self._shelf.downloads() if each.repo == page.repo]
        downloads: dict[str, Any] = {}
        for each in mine:
            for choice in page.choices:
                if choice.path in each.files:
                    downloads[choice.path] = each
        here: dict[str, str] = {}
        for row in self._shelf.rows():
            if row.repo == page.repo and not row.problem:
                for choice in page.choices:
                    if row.kind == choice.kind and (
                        choice.kind != "gguf" or row.path.replace("\\", "/").endswith("/" + choice.path)
                    ):
                        here[choice.path] = row.path
        for path, each in downloads.items():
            if each.state == "done" and each.path:
                here.setdefault(path, each.path)
        return downloads, here

    def _get(self, choice: Any) -> None:
        page = self.page.page
        if page is None:
            return
        if page.access == "gated":
            self._ask_token(page.repo, "Its authors ask for a login and an agreement before it can be downloaded.")
            self.page.gate.field.setFocus()
            return
        try:
            self._shelf.download(page, choice)
        except Exception as error:
            self._desk.notify(getattr(error, "message", str(error)), getattr(error, "hint", ""), "error", key="models.download")

    def _open(self, choice: Any) -> None:
        page = self.page.page
        path = self._where(page)[1].get(choice.path, "") if page is not None else ""
        if path:
            self.chat_wanted.emit(path)
