"""The second view: nothing is asked unasked, stale answers are dropped, offline and gated are states, downloads are shown and steered."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest
from PySide6.QtWidgets import QAbstractButton, QLabel, QLineEdit, QProgressBar, QWidget

from playground.errors import GatedError, HubError, OfflineError
from playground.gui.bridge import when_done
from playground.models.files import Recommendation
from playground.session.shelf import ChoiceVerdicts, DownloadChanged, Downloading, Results, Verdict
from tests.gui.models.conftest import Bench, choice, found, page, row


@pytest.fixture
def hub(bench: Bench) -> Any:
    bench.page.show_view("hub")
    return bench.page.hub


def results(*rows: Any, ended: bool = True) -> Results:
    return Results(tuple(rows), ended, None)  # type: ignore[arg-type]


def searches(bench: Bench) -> list[Future[Any]]:
    return bench.shelf.futures.get("search", [])


def shown(hub: Any) -> list[str]:
    return [hub.model.row(place).repo for place in range(hub.model.rowCount())]


def delivered(bench: Bench) -> None:
    """Until the window has what was answered so far."""
    arrived: list[None] = []
    last: Future[None] = Future()
    when_done(last, bench.page, arrived.append)
    last.set_result(None)
    bench.qtbot.waitUntil(lambda: bool(arrived))


def opened(bench: Bench, hub: Any, *choices: Any, **more: Any) -> Any:
    """A model's page, open."""
    hub.show_model(found("acme/fox-GGUF"))
    made = page("acme/fox-GGUF", *choices, **more)
    bench.shelf.futures["page"][-1].set_result(made)
    bench.qtbot.waitUntil(lambda: hub.page.page is made)
    return made


def test_opening_the_page_asks_the_network_nothing(bench: Bench, hub: Any) -> None:
    bench.qtbot.waitUntil(lambda: hub.state.isVisible())
    assert not {"search", "page", "card"} & bench.shelf.futures.keys()
    hub.filters.parameters.setCurrentIndex(2)
    assert not hub._debounce.isActive()
    hub.state.button.click()
    assert len(searches(bench)) == 1


def test_typing_is_one_question_and_a_stale_answer_is_dropped(bench: Bench, hub: Any) -> None:
    for text in ("f", "fo", "fox"):
        hub.filters.words.setText(text)
    assert searches(bench) == []
    bench.qtbot.waitUntil(lambda: len(searches(bench)) == 1)
    hub.filters.words.setText("owl")
    bench.qtbot.waitUntil(lambda: len(searches(bench)) == 2)
    queries = [call[1].text for call in bench.shelf.calls if call[0] == "search"]
    assert queries == ["fox", "owl"]
    searches(bench)[1].set_result(results(found("acme/owl")))
    bench.qtbot.waitUntil(lambda: shown(hub) == ["acme/owl"])
    searches(bench)[0].set_result(results(found("acme/fox")))
    delivered(bench)
    assert shown(hub) == ["acme/owl"]


def test_filters_make_the_query(bench: Bench, hub: Any) -> None:
    hub.filters.words.setText("fox")
    hub.filters.safetensors.setChecked(True)
    hub.filters.parameters.setCurrentIndex(3)
    hub.filters.licence.setCurrentIndex(1)
    hub.filters.access.setCurrentIndex(1)
    hub.filters.sort.setCurrentIndex(2)
    query = hub.filters.query()
    assert query.formats == ("gguf", "safetensors")
    assert (query.smallest, query.largest) == (4_000_000_000, 9_000_000_000)
    assert (query.licence, query.gated, query.sort) == ("apache-2.0", False, "recent")
    hub.filters.gguf.setChecked(False)
    hub.filters.safetensors.setChecked(False)
    hub.search()
    assert "Neither" in hub.state.title.text()


def test_offline_is_a_state_with_a_way_out(bench: Bench, hub: Any) -> None:
    hub.search()
    searches(bench)[0].set_exception(OfflineError("There is no way to huggingface.co.", "Check the connection."))
    bench.qtbot.waitUntil(lambda: "cannot be reached" in hub.state.title.text())
    assert hub.state.text.text() == "There is no way to huggingface.co. Check the connection."
    assert bench.notices == []
    hub.state.button.click()
    searches(bench)[1].set_result(results(found("acme/fox")))
    bench.qtbot.waitUntil(lambda: shown(hub) == ["acme/fox"])
    hub.search()
    searches(bench)[2].set_exception(HubError("The hub has trouble of its own (it answered 500).", "Try again later."))
    bench.qtbot.waitUntil(lambda: "did not work" in hub.state.title.text())


def test_more_results_come_when_the_end_is_near(bench: Bench, hub: Any) -> None:
    hub.search()
    searches(bench)[0].set_result(results(*(found(f"acme/model-{number}") for number in range(30)), ended=False))
    bench.qtbot.waitUntil(lambda: hub.model.rowCount() == 30)
    hub.results.scrollToBottom()
    bench.qtbot.waitUntil(lambda: bool(bench.shelf.futures.get("more")))
    bench.shelf.futures["more"][0].set_result(results(found("acme/last"), found("acme/model-3")))
    bench.qtbot.waitUntil(lambda: hub.model.rowCount() == 31)
    assert shown(hub)[-1] == "acme/last"


def test_a_model_shows_its_choices_with_the_one_to_take(bench: Bench, hub: Any) -> None:
    small, large = choice("Q4_K_M"), choice("Q8_0", 8_500_000_000)
    made = opened(bench, hub, large, small)
    assert list(hub.page.rows) == [large.path, small.path]
    ((asked, _held), answer) = bench.asked("choices")[0]
    assert asked is made
    verdicts = {large.path: Verdict("tight", "Nearly all."), small.path: Verdict("fits", "Plenty.")}
    answer.set_result(ChoiceVerdicts(verdicts, Recommendation(small, "Q4_K_M is the best quality that fits.")))
    bench.qtbot.waitUntil(lambda: hub.page.rows[small.path].recommended)
    assert not hub.page.rows[large.path].recommended
    assert hub.page.why.text() == "Q4_K_M is the best quality that fits."
    assert hub.page.rows[large.path].chip.verdict() == "tight"
    assert bench.asked("of_choice")[0][0] == (made, small)


def test_a_page_that_comes_too_late_is_dropped(bench: Bench, hub: Any) -> None:
    hub.show_model(found("acme/first"))
    hub.show_model(found("acme/second"))
    bench.shelf.futures["page"][1].set_result(page("acme/second", choice("Q4_K_M")))
    bench.qtbot.waitUntil(lambda: hub.page.page is not None)
    bench.shelf.futures["page"][0].set_result(page("acme/first", choice("Q8_0")))
    bench.qtbot.waitUntil(lambda: hub.page.title.text() == "acme/second")
    assert hub.page.page.repo == "acme/second"


def test_a_file_that_is_not_chosen_any_more_has_nothing_to_say(bench: Bench, hub: Any) -> None:
    first, second = choice("Q4_K_M"), choice("Q8_0")
    opened(bench, hub, first, second)
    hub.page.pick(first)
    hub.page.pick(second)
    (_, late), (_, chosen) = bench.asked("of_choice")
    chosen.set_exception(HubError("The file is damaged.", ""))
    late.set_exception(HubError("Its header cannot be read.", ""))
    delivered(bench)
    assert "The file is damaged." in [each.text() for each in hub.page.fit.findChildren(QLabel)]


def test_what_was_searched_for_before_both_formats_were_left_out_is_dropped(bench: Bench, hub: Any) -> None:
    hub.search()
    hub.filters.gguf.setChecked(False)
    hub.filters.safetensors.setChecked(False)
    hub.search()
    searches(bench)[0].set_result(results(found("acme/fox")))
    delivered(bench)
    assert shown(hub) == []
    assert hub.state.isVisible() and "Neither" in hub.state.title.text()


def test_a_hundred_choices_come_a_few_at_a_time(bench: Bench, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    show, at_once = hub.page.show_page, []

    def noting(*arguments: Any) -> None:
        show(*arguments)
        at_once.append(len(hub.page.rows))

    monkeypatch.setattr(hub.page, "show_page", noting)
    opened(bench, hub, *(choice(f"Q{number}") for number in range(100)))
    assert len(at_once) == 1 and at_once[0] < 20
    bench.qtbot.waitUntil(lambda: len(hub.page.rows) == 100)


def test_a_card_is_read_when_it_is_wanted_and_loads_nothing(bench: Bench, hub: Any) -> None:
    opened(bench, hub, choice("Q4_K_M"))
    assert "card" not in bench.shelf.futures
    hub.page.open_tab(2)
    card = "# Fox\n\n![tracker](https://example.com/x.png) <script>alert(1)</script>\n\n[a link](https://example.com)"
    bench.shelf.futures["card"][0].set_result(card)
    bench.qtbot.waitUntil(lambda: "Fox" in hub.page.card.text())
    assert hub.page.card._view.document().resource(2, "https://example.com/x.png") is None
    hub.page.open_tab(0)
    hub.page.open_tab(2)
    assert len(bench.shelf.futures["card"]) == 1


def test_a_gated_model_asks_for_a_token_that_is_shown_nowhere(bench: Bench, hub: Any) -> None:
    opened(bench, hub, choice("Q4_K_M"), access="gated")
    gate = hub.page.gate
    assert gate.isVisible()
    assert gate.field.echoMode() == QLineEdit.EchoMode.Password
    hub.page.rows["model-Q4_K_M.gguf"].button.click()
    assert not [call for call in bench.shelf.calls if call[0] == "download"]
    gate.field.setText("hf_secret")
    gate.save.click()
    assert gate.field.text() == ""
    bench.shelf.futures["set_token"][0].set_exception(GatedError("The hub does not accept the token.", "Enter a new one."))
    bench.qtbot.waitUntil(lambda: gate.sentence.text() == "The hub does not accept the token. Enter a new one.")
    gate.field.setText("hf_right")
    gate.save.click()
    bench.shelf.futures["set_token"][1].set_result("ada")
    bench.qtbot.waitUntil(lambda: len(bench.shelf.futures["page"]) == 2)


def test_a_page_behind_a_gate_says_what_is_missing(bench: Bench, hub: Any) -> None:
    hub.show_model(found("acme/closed"))
    bench.shelf.futures["page"][0].set_exception(GatedError("The hub asks for a login to acme/closed.", "Enter your token."))
    bench.qtbot.waitUntil(lambda: hub.page.gate.isVisible())
    assert "gated" in hub.page.state.title.text()
    assert bench.notices == []


def downloading(state: str = "loading", **more: Any) -> Downloading:
    facts: dict[str, Any] = {"done": 1_200_000_000, "total": 4_900_000_000, "rate": 12e6, "seconds_left": 308.0}
    return Downloading("1234", "acme/fox-GGUF", "Q4_K_M", state, files=("model-Q4_K_M.gguf",), **{**facts, **more})  # type: ignore[arg-type]


def test_a_download_is_begun_shown_and_steered(bench: Bench, hub: Any) -> None:
    made = opened(bench, hub, choice("Q4_K_M"))
    row_ = hub.page.rows["model-Q4_K_M.gguf"]
    row_.button.click()
    assert ("download", made, made.choices[0]) in bench.shelf.calls

    def tell(download: Downloading, removed: bool = False) -> None:
        bench.shelf.list = () if removed else (download,)
        bench.page.handle(DownloadChanged(download, removed))

    def press(role: str) -> None:
        bench.page.findChild(QAbstractButton, f"models.download.1234.{role}").click()

    tell(downloading())
    line = bench.page.downloads.box.rows()["1234"]
    assert bench.page.downloads.box.isVisible()
    assert line._detail.text() == "1.2 GB of 4.9 GB  ·  12.0 MB/s  ·  5 min 8 s left"
    assert line.findChild(QProgressBar).value() == 245
    assert row_.button.text() == "24%"
    assert not row_.button.isEnabled()
    press("pause")
    tell(downloading("paused", rate=0.0, seconds_left=-1.0))
    assert row_.button.text() == "Go on"
    press("resume")
    tell(downloading())
    press("cancel")
    tell(downloading("cancelled"))
    press("delete")
    assert [call for call in bench.shelf.calls if "1234" in call] == [
        ("pause", "1234"), ("resume", "1234"), ("cancel", "1234"), ("cancel", "1234", True),
    ]  # fmt: skip
    tell(downloading("failed", message="The disk is full.", hint="Make room."))
    assert line._detail.text() == "The disk is full. Make room."
    tell(downloading("done", path="/hub/model-Q4_K_M.gguf"))
    assert row_.button.text() == "Chat"
    press("open")
    assert bench.opened == ["chat"]
    tell(downloading("done"), removed=True)
    assert not bench.page.downloads.box.isVisible()


def test_what_is_here_already_is_not_offered_again(bench: Bench, hub: Any) -> None:
    bench.rows(row("fox", place="huggingface", repo="acme/fox-GGUF", path="/hub/snapshots/c/model-Q4_K_M.gguf"))
    opened(bench, hub, choice("Q4_K_M"), choice("Q8_0"))
    assert hub.page.rows["model-Q4_K_M.gguf"].button.text() == "Chat"
    assert hub.page.rows["model-Q8_0.gguf"].button.text() == "Download"
    hub.page.rows["model-Q4_K_M.gguf"].button.click()
    assert [call[1] for call in bench.session.calls if call[0] == "load"] == ["/hub/snapshots/c/model-Q4_K_M.gguf"]


def test_a_download_is_in_the_windows_strip(window: Any, qtbot: Any, session: Any) -> None:
    from tests.gui.models.conftest import FakeShelf

    session.shelf = FakeShelf()
    window.open("models")
    qtbot.waitUntil(lambda: ("refresh",) in session.shelf.calls)
    window.handle(DownloadChanged(downloading()))
    assert window.jobs.jobs() == ("download.1234",)
    hold = window.findChild(QWidget, "jobs.download.1234.hold")
    hold.click()
    qtbot.waitUntil(lambda: ("pause", "1234") in session.shelf.calls)
    window.handle(DownloadChanged(downloading("pausing")))
    assert hold.isHidden()  # it is not to be asked twice
    window.handle(DownloadChanged(downloading("paused")))
    assert window.jobs.jobs() == ("download.1234",)
    assert hold.accessibleName().startswith("Go on")
    hold.click()
    qtbot.waitUntil(lambda: ("resume", "1234") in session.shelf.calls)
    window.findChild(QWidget, "jobs.download.1234.cancel").click()
    qtbot.waitUntil(lambda: ("cancel", "1234") in session.shelf.calls)
    window.handle(DownloadChanged(downloading("cancelled")))
    assert window.jobs.jobs() == ()
