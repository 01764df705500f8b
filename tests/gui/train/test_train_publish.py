"""Publishing a result: all of it is shown first, and nothing is sent before the button is pressed."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QListWidget, QWidget

from playground.errors import GatedError
from playground.session.publishing import Published


@pytest.fixture
def sheet(window, session, qtbot):
    """Finds what is called so in the part that publishes, opened for a run that has ended."""
    window.open("train")
    page = window.pages["train"]
    run_id = session.training.start("model", "data", {}, title="Pirate")
    page.open(run=run_id)
    find = lambda name: window.findChild(QWidget, name)  # noqa: E731
    assert not find("train.publish").isVisible()
    session.training.finish(run_id, "/adapters/pirate")
    qtbot.waitUntil(lambda: find("train.publish").isVisible())
    find("train.publish").click()
    qtbot.waitUntil(lambda: find("train.publishing.files").count() == 3)
    return lambda role: find(f"train.publishing.{role}")


def lines(widget: QListWidget) -> list[str]:
    return [widget.item(place).text() for place in range(widget.count())]


def test_everything_is_shown_before_anything_is_sent(sheet, session, qtbot) -> None:
    publishing = session.publishing
    assert [each.split("  ")[0] for each in lines(sheet("files"))] == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert lines(sheet("held")) == ["data.jsonl  ·  data"]
    assert sheet("card").toPlainText() == "# A card"
    assert sheet("notes").text() == "A note."
    assert not sheet("send").isEnabled()
    sheet("repo").setText("nowhere")
    qtbot.waitUntil(lambda: "cannot be the name" in sheet("what").text())
    assert not sheet("send").isEnabled()
    sheet("repo").setText("me/pirate")
    qtbot.waitUntil(lambda: sheet("send").isEnabled())
    assert "everybody will see it: https://hub.example/me/pirate" in sheet("detail").text()
    sheet("private").setChecked(True)
    sheet("base").setText("they/starter")
    sheet("card").setPlainText("# Mine")
    assert not sheet("send").isEnabled()  # that would not be what is shown
    qtbot.waitUntil(lambda: sheet("send").isEnabled())
    assert publishing.asked[-1] == ("plan", "/adapters/pirate", "me/pirate", True, "they/starter", "# Mine")
    assert all(each[0] == "plan" for each in publishing.asked)
    sheet("send").click()
    what, plan = publishing.asked[-1]
    assert (what, plan.repo, plan.private, plan.parcel.card) == ("publish", "me/pirate", True, "# Mine")
    qtbot.waitUntil(lambda: sheet("progress").value() == 500)
    sheet("stop").click()
    assert publishing.asked[-1] == ("cancel",)
    publishing.sending.set_result(Published(1, plan.repo, plan.url, "c0ffee", ("README.md",), 120, True))
    qtbot.waitUntil(lambda: sheet("what").text() == "Published: https://hub.example/me/pirate")
    assert [each[0] for each in publishing.asked].count("publish") == 1


def test_what_was_not_sent_is_said_and_can_be_tried_again(sheet, session, window, qtbot) -> None:
    sheet("repo").setText("me/pirate")
    qtbot.waitUntil(lambda: sheet("send").isEnabled())
    sheet("send").click()
    sheet("close").click()
    assert window.pages["train"].run.isVisible()
    session.publishing.sending.set_exception(GatedError("The hub takes no such token.", "Make another one."))
    qtbot.waitUntil(lambda: window.notices() == ("The hub takes no such token.",))
    window.findChild(QWidget, "train.publish").click()  # what was not sent is looked at anew
    qtbot.waitUntil(lambda: sheet("what").text().startswith("3 files"))


def test_nothing_can_be_sent_without_a_token(sheet, window, qtbot) -> None:
    part = window.pages["train"].publishing.part
    sheet("repo").setText("me/pirate")
    qtbot.waitUntil(lambda: sheet("send").isEnabled())
    part.ask_token()  # this is found out while the rest can be read and written already
    assert sheet("gate").isVisible() and not sheet("send").isEnabled()
    sheet("private").setChecked(True)
    qtbot.waitUntil(lambda: "only you will see it" in sheet("detail").text())
    assert not sheet("send").isEnabled()
    part.token_is_there()
    assert not sheet("gate").isVisible() and sheet("send").isEnabled()
