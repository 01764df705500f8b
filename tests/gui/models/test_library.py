"""The first view: rows, filter, details, what can be done with a model, and the states in between."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDropEvent, QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QLabel, QLineEdit, QTableView

from playground.errors import ModelFileError, StorageError
from playground.protocol import MemoryTerm
from playground.session.shelf import Verdict, VerdictsKnown
from tests.gui.models.conftest import Bench, row


def names(bench: Bench) -> list[str]:
    model = bench.page.library.model
    return [model.row(place).name for place in range(model.rowCount())]


def test_empty_loading_and_listed(bench: Bench) -> None:
    library = bench.page.library
    assert library.state.isVisible()
    assert "Looking" in library.state.title.text()
    bench.rows()
    assert "No models" in library.state.title.text()
    library.state.button.click()
    assert bench.page.views.checkedId() == 1
    bench.page.show_view("library")
    bench.rows(row("one"))
    assert library.table.isVisible()
    assert bench.page.count.text() == "1 model, 4.9 GB"


def test_no_word_in_its_head_is_cut_in_a_small_window(bench: Bench) -> None:
    bench.rows(row("one"), row("two"))
    bench.page.resize(896, 600)
    for button in bench.page.views.buttons():
        assert button.width() >= button.sizeHint().width()
    bench.page.resize(1280, 800)
    assert bench.page.filter.width() == bench.page.filter.maximumWidth()


def test_batches_join_and_what_is_gone_goes(bench: Bench) -> None:
    bench.rows(row("b"), row("a"), complete=False)
    assert names(bench) == ["a", "b"]
    assert bench.page.count.text().endswith("…")
    bench.page.library.select("/models/b.gguf")
    bench.rows(row("c"), complete=False)
    bench.rows(row("b"), row("c"))
    assert names(bench) == ["b", "c"]
    assert bench.page.library.table.row().name == "b"


def test_two_thousand_rows_come_in_without_long_work(bench: Bench) -> None:
    rows = [row(f"model-{number:04}", size=number) for number in range(2000)]
    longest = 0.0
    for start in range(0, 2000, 200):
        begun = time.thread_time()
        bench.rows(*rows[start : start + 200], complete=False)
        longest = max(longest, time.thread_time() - begun)
    begun = time.thread_time()
    bench.rows(*rows)
    longest = max(longest, time.thread_time() - begun)
    assert bench.page.library.model.rowCount() == 2000
    assert names(bench)[:2] == ["model-0000", "model-0001"]
    assert longest < 1.0  # a net for something quadratic, no measure: packaging/bench measures


def test_sort_by_size_and_filter_by_words(bench: Bench) -> None:
    from playground.gui.widgets.library_model import SIZE

    bench.rows(row("small", size=1), row("large", size=3), row("middle", size=2, architecture="qwen3"))
    bench.page.library.table.sortByColumn(SIZE, Qt.SortOrder.DescendingOrder)
    assert names(bench) == ["large", "middle", "small"]
    bench.page.filter.setText("qwen3 mid")
    bench.qtbot.waitUntil(lambda: names(bench) == ["middle"])
    assert bench.page.count.text() == "1 of 3 models"
    bench.page.filter.setText("nothing like that")
    bench.qtbot.waitUntil(lambda: bench.page.library.state.isVisible())
    bench.page.filter.setText("")
    bench.qtbot.waitUntil(lambda: names(bench) == ["large", "middle", "small"])


def test_a_damaged_row_keeps_its_sentence(bench: Bench) -> None:
    bench.rows(row("broken", problem="broken.gguf ends before its tensors.", hint="Download it again.", size=3))
    bench.page.library.select("/models/broken.gguf")
    detail = bench.page.library.detail
    assert detail.problem.text() == "broken.gguf ends before its tensors. Download it again."
    assert not detail.chat_button.isEnabled()
    assert bench.page.library.model.word(detail.row) == "damaged"
    assert not bench.asked("of_row")
    detail.tabs.button(1).click()
    assert not [call for call in bench.shelf.calls if call[0] == "details"]


def test_verdicts_are_asked_for_the_rows_in_sight(bench: Bench) -> None:
    bench.rows(*(row(f"model-{number:04}") for number in range(500)))
    bench.qtbot.waitUntil(lambda: bool(bench.shelf.fits.listed))
    asked = bench.shelf.fits.listed[-1]
    assert 5 < len(asked) < 60
    assert asked[0].name == "model-0000"
    bench.page.handle(VerdictsKnown({asked[0].path: Verdict("tight", "It takes nearly all.")}))
    model = bench.page.library.model
    assert model.word(asked[0]) == "tight"
    assert model.data(model.index(0, 7), Qt.ItemDataRole.ToolTipRole) == "It takes nearly all."


def test_an_adapter_waits_for_no_verdict(bench: Bench) -> None:
    bench.rows(row("one"), row("pirate", kind="adapter"))
    model = bench.page.library.model
    said = {model.row(place).name: model.word(model.row(place)) for place in range(2)}
    assert said["pirate"] == "" and said["one"]


def test_what_the_loaded_model_holds_counts_as_free(bench: Bench) -> None:
    import dataclasses

    from playground import events

    bench.rows(row("one"))
    info = dataclasses.replace(
        bench.session.model.info, memory=(MemoryTerm("CPU", "weights", 5), MemoryTerm("CPU", "compute", 2))
    )
    bench.page.handle(events.ModelState("ready", "x", "x", 1.0, info))
    bench.page.library.select("/models/one.gguf")
    assert bench.page.library._held == {"CPU": 7}


def test_details_are_read_when_their_tab_is_opened(bench: Bench) -> None:
    from playground.session.shelf_details import RowDetails

    bench.rows(row("one"))
    bench.page.library.select("/models/one.gguf")
    assert "details" not in bench.shelf.futures
    detail = bench.page.library.detail
    detail.tabs.button(1).click()
    tensors = (("blk.0.attn_q.weight", "32 × 64", "Q4_K", 4096),)
    bench.shelf.futures["details"][0].set_result(
        RowDetails((("general.name", "One"),), (("Q4_K", 1, 4096),), tensors, "{{ x }}", ())
    )
    bench.qtbot.waitUntil(lambda: detail.metadata.rowCount() == 1)
    assert detail.metadata.item(0, 1).text() == "One"
    assert detail.tensors.item(1, 0).text() == "blk.0.attn_q"
    assert detail.template.toPlainText() == "{{ x }}"


def test_chat_loads_it_and_opens_the_chat(bench: Bench) -> None:
    bench.rows(row("one"))
    bench.page.library.select("/models/one.gguf")
    bench.page.library.detail.chat_button.click()
    assert [call[1] for call in bench.session.calls if call[0] == "load"] == ["/models/one.gguf"]
    assert bench.opened == ["chat"]


def test_copy_remove_and_what_is_not_ours(bench: Bench) -> None:
    bench.rows(row("mine"), row("theirs", place="ollama", removable=False))
    detail = None
    bench.page.library.select("/models/mine.gguf")
    detail = bench.page.library.detail
    detail.copy_button.click()
    assert QGuiApplication.clipboard().text() == "/models/mine.gguf"
    detail.remove_button.click()
    name, removed, trash = next(call for call in bench.shelf.calls if call[0] == "remove")
    assert (name, removed.name) == ("remove", "mine")
    assert callable(trash)
    bench.shelf.futures["remove"][0].set_result(None)
    bench.qtbot.waitUntil(lambda: "mine is in the trash." in bench.notices)
    bench.page.library.select("/models/theirs.gguf")
    assert not detail.remove_button.isEnabled()
    assert "Ollama" in detail.remove_button.toolTip()


def test_what_could_not_be_removed_makes_nothing_else_removable(bench: Bench) -> None:
    bench.rows(row("mine"), row("theirs", place="ollama", removable=False))
    bench.page.library.select("/models/mine.gguf")
    bench.page.library.detail.remove_button.click()
    bench.page.library.select("/models/theirs.gguf")
    bench.shelf.futures["remove"][0].set_exception(StorageError("mine.gguf could not be moved to the trash."))
    bench.qtbot.waitUntil(lambda: "mine.gguf could not be moved to the trash." in bench.notices)
    assert not bench.page.library.detail.remove_button.isEnabled()


def test_a_dropped_file_is_added_or_told_why_not(bench: Bench, tmp_path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "poem.gguf"))])
    bench.page.dropEvent(
        QDropEvent(QPoint(200, 200), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    )
    assert ("add", str(tmp_path / "poem.gguf")) in bench.shelf.calls
    bench.shelf.futures["add"][0].set_exception(ModelFileError("poem.gguf is not a model."))
    bench.qtbot.waitUntil(lambda: bench.notices == ["poem.gguf is not a model."])


def test_what_was_in_the_way_is_said_below_the_table(bench: Bench) -> None:
    bench.rows(row("one"), notices=("/a cannot be read: Permission denied.",))
    assert bench.page.library.notices.text() == "/a cannot be read: Permission denied."
    assert bench.page.library.notices.isVisible()


def test_amounts_read_as_in_the_sentences_of_memory() -> None:
    from playground.gui.widgets import amounts
    from playground.memory import words

    for nbytes in (0, 1, 999, 1023, 1 << 20, 5_000_000, 1 << 30, 123_456_789_012, 9 << 40):
        assert amounts.amount(nbytes) == words.amount(nbytes)
    assert [amounts.size(n) for n in (0, 999, 4_400_000_000, 999_950)] == ["0 B", "999 B", "4.4 GB", "1.0 MB"]
    assert [amounts.count(n) for n in (0, 950, 7_241_732_096, 135_000_000)] == ["", "950", "7.2B", "135M"]
    assert [amounts.duration(n) for n in (5, 65, 3700, 90000)] == ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]


@pytest.mark.parametrize("view", ["library", "hub"])
def test_every_control_has_a_name_and_says_what_it_does(bench: Bench, view: str) -> None:
    bench.rows(row("one"))
    bench.page.library.select("/models/one.gguf")
    bench.page.show_view(view)
    for button in bench.page.findChildren(QAbstractButton):
        if button.isVisible() and not isinstance(button.parent(), (QLineEdit, QTableView)):
            assert button.objectName(), button.text()
            assert button.accessibleName() or button.text(), button.objectName()
            assert button.toolTip(), button.objectName()


def test_a_face_without_a_shelf_says_so_calmly(dressed: Any, qtbot: Any, session: Any, preferences: Any, home: Any) -> None:
    from playground.gui.pages import Desk
    from playground.gui.pages.models import ModelsPage

    page = ModelsPage(Desk(session, preferences, home, lambda *a, **m: None, lambda *a, **m: None, lambda: None))
    qtbot.addWidget(page)
    page.show()
    page.show_view("hub")
    page.hub.search()
    assert page.findChild(QLabel, "models.count") is not None


def test_what_a_first_click_opens_is_made_before_it(bench: Bench) -> None:
    """Details and hub are made in short steps once the list is there, hidden, and nothing is asked."""
    bench.rows(row("one"))
    page = bench.page
    bench.qtbot.waitUntil(
        lambda: page._hub is not None and page._hub._page is not None and page._hub._page.fit._stack.count() == 2
    )
    assert page.library._detail is not None and not page.library._detail.isVisible()
    assert page._hub is not None and not page._hub.isVisible()
    assert bench.shelf.fits.asked == []
