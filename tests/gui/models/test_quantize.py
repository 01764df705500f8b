"""The part that quantizes: what is offered, what is asked for, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_workshop import plan_of
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QLineEdit, QTableView

from playground.errors import ModelFileError
from playground.session.workshop_jobs import Plan, QuantizeRequest
from tests.gui.models.conftest import Bench, row

FILE = "/models/one.gguf"


@pytest.fixture
def opened(bench: Bench) -> Bench:
    """The part, opened for a file."""
    bench.rows(row("one", quantization="F16"), row("two"))
    bench.page.library.select(FILE)
    bench.find("quantize.open").click()
    bench.qtbot.waitUntil(lambda: bench.page.making.quantize_panel.plan is not None)
    return bench


def types(bench: Bench) -> list[str]:
    return [each.name for each in bench.page.making.quantize_panel.model.rows()]


def choose(bench: Bench, name: str) -> None:
    bench.page.making.quantize_panel.types.choose(name)


def test_a_newcomer_sees_few_types_with_the_recommended_one_chosen(opened: Bench) -> None:
    assert types(opened) == ["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M"]
    assert [each.name for each in opened.page.making.quantize_panel.chosen()] == ["Q8_0"]
    assert "Q8_0" in opened.find("quantize.reason").text()
    assert opened.find("quantize.start").isEnabled()
    opened.find("quantize.all").click()
    assert len(types(opened)) == 35
    assert [each.name for each in opened.page.making.quantize_panel.chosen()] == ["Q8_0"]
    opened.find("quantize.all").click()
    assert len(types(opened)) == 6


def test_what_is_asked_for_is_what_the_controls_say(opened: Bench) -> None:
    opened.find("quantize.all").click()
    choose(opened, "IQ2_XS")
    assert opened.find("quantize.imatrix").currentData() == "shipped", "it cannot be made without one"
    choose(opened, "Q4_0")
    assert opened.find("quantize.imatrix").currentData() == "off"
    choose(opened, "IQ2_XS")
    opened.find("quantize.imatrix").setCurrentIndex(0)
    assert opened.find("quantize.detail").text() == "Choose an importance matrix: this type needs one."
    assert not opened.find("quantize.start").isEnabled()
    opened.find("quantize.imatrix").setCurrentIndex(2)
    assert not opened.find("quantize.start").isEnabled()
    assert "Choose the text" in opened.find("quantize.detail").text()
    opened.find("quantize.calibration").setText("/texts/mine.txt")
    opened.find("quantize.advanced").click()
    opened.find("quantize.output_type").setCurrentText("Q8_0")
    opened.find("quantize.embedding_type").setCurrentText("Q4_K")
    opened.find("quantize.target").setText("/elsewhere/out.gguf")
    assert opened.find("quantize.what").text() == "Compute the importance matrix → quantize to IQ2_XS"
    opened.find("quantize.start").click()
    (request,) = opened.workshop.requests
    assert request == QuantizeRequest(
        FILE,
        "IQ2_XS",
        "/elsewhere/out.gguf",
        imatrix="auto",
        calibration="/texts/mine.txt",
        output_type="Q8_0",
        embedding_type="Q4_K",
    )


def test_working_then_done_with_ways_on(opened: Bench) -> None:
    choose(opened, "Q4_K_M")
    opened.find("quantize.start").click()
    opened.workshop.go_on("job0", fraction=0.25, step="Quantizing: tensor 3 of 12", seconds_left=65.0)
    assert opened.find("quantize.progress").value() == 250
    assert opened.find("quantize.detail").text() == "25%  ·  Quantizing: tensor 3 of 12  ·  1 min 5 s left"
    opened.workshop.finish("job0", "/models/one-Q4_K_M.gguf", 3_300_000, seconds=12.0, notes=("One tensor stayed.",))
    assert opened.find("quantize.what").text() == "one-Q4_K_M.gguf is here: 3.3 MB in 12 s"
    assert opened.find("quantize.detail").text() == "One tensor stayed."
    opened.find("quantize.chat").click()
    assert [call[1] for call in opened.session.calls if call[0] == "load"] == ["/models/one-Q4_K_M.gguf"]
    assert opened.opened == ["chat"]
    opened.find("quantize.show").click()
    assert opened.page.library.isVisible()
    opened.rows(row("one"), row("one-Q4_K_M"))
    assert opened.page.library.table.row().name == "one-Q4_K_M"


def test_cancelling_goes_back_to_the_choice(opened: Bench) -> None:
    opened.find("quantize.start").click()
    opened.workshop.go_on("job0", fraction=0.1)
    opened.find("quantize.cancel").click()
    assert ("cancel", "job0") in opened.workshop.requests
    assert not opened.find("quantize.cancel").isEnabled()
    opened.workshop.go_on("job0", state="cancelled", fraction=-1.0)
    assert opened.page.making.quantize_panel.foot.state == "ready"
    assert opened.find("quantize.start").isVisible()


def test_a_failure_is_said_and_the_way_back_is_there(opened: Bench) -> None:
    opened.find("quantize.start").click()
    opened.workshop.fail("job0", "The disk is full.", "Free some space.")
    assert (opened.find("quantize.what").text(), opened.find("quantize.detail").text()) == (
        "The disk is full.",
        "Free some space.",
    )
    assert opened.notices == [], "one who looks at it is not told twice"
    opened.find("quantize.again").click()
    assert opened.find("quantize.start").isVisible()


def test_one_who_went_elsewhere_is_told(opened: Bench) -> None:
    opened.find("quantize.start").click()
    opened.find("quantize.close").click()
    opened.workshop.finish("job0", "/models/one-Q8_0.gguf", 6_000_000)
    assert opened.notices == ["one-Q8_0.gguf is here, 6.0 MB."]
    opened.offers["Show"]()
    opened.rows(row("one"), row("one-Q8_0"))
    assert opened.page.library.table.row().name == "one-Q8_0"


def test_several_types_are_one_request_each_and_are_measured_together(opened: Bench) -> None:
    table = opened.page.making.quantize_panel.types
    for place in range(3):
        table.selectionModel().select(
            table.model().index(place, 0),
            table.selectionModel().SelectionFlag.Select | table.selectionModel().SelectionFlag.Rows,
        )
    assert opened.find("quantize.start").text() == "Quantize to 3 types"
    assert not opened.find("quantize.target").isEnabled()
    opened.find("quantize.start").click()
    assert [each.to for each in opened.workshop.requests] == ["Q8_0", "Q6_K", "Q5_K_M"]
    opened.workshop.finish("job0", "/models/one-Q8_0.gguf", 1)
    opened.workshop.go_on("job1", fraction=0.5)
    assert opened.find("quantize.what").text().startswith("2 of 3: ")
    opened.workshop.finish("job1", "/models/one-Q6_K.gguf", 1)
    opened.workshop.finish("job2", "/models/one-Q5_K_M.gguf", 1)
    opened.find("quantize.measure").click()
    form = opened.page.making.report_panel.form
    assert form.original_path() == FILE
    assert form.chosen() == ["/models/one-Q8_0.gguf", "/models/one-Q6_K.gguf", "/models/one-Q5_K_M.gguf"]


def test_a_folder_converts_and_an_adapter_goes_in_first(bench: Bench, tmp_path: Path) -> None:
    adapter = tmp_path / "pirate"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "acme/one"}))
    bench.rows(row("one", kind="safetensors", path="/models/one"), row("pirate", kind="adapter", path=str(adapter)))
    bench.page.library.select(str(adapter))
    button = bench.find("quantize.open")
    assert button.text() == "Merge and convert"
    button.click()
    panel = bench.page.making.quantize_panel
    bench.qtbot.waitUntil(lambda: panel.plan is not None and panel.foot.state == "ready")
    assert panel.source == "/models/one"
    assert bench.find("quantize.adapter").currentText() == "pirate"
    choose(bench, "F16")
    assert bench.find("quantize.what").text() == "Merge the adapter → convert to GGUF"
    bench.find("quantize.scale").setValue(0.5)
    bench.find("quantize.start").click()
    (request,) = bench.workshop.requests
    assert (request.source, request.to, request.adapter, request.scale) == ("/models/one", "F16", str(adapter), 0.5)


def test_an_adapter_without_its_folder_is_told_with_a_way_out(bench: Bench, tmp_path: Path) -> None:
    adapter = tmp_path / "pirate"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "acme/other"}))
    bench.rows(row("one"), row("pirate", kind="adapter", path=str(adapter)))
    bench.page.library.select(str(adapter))
    bench.find("quantize.open").click()
    assert bench.notices == ["It is merged into the folder of its model, acme/other, which is not on this computer."]
    assert "Search the hub" in bench.offers
    bench.rows(row("other"), row("pirate", kind="adapter", path=str(adapter)))
    bench.find("quantize.open").click()
    bench.offers["Convert it"]()
    assert bench.workshop.requests == [("adapter", str(adapter), "/models/other.gguf", "")]


def test_chat_with_an_adapter_loads_its_model_with_it_on(bench: Bench, tmp_path: Path) -> None:
    adapter = tmp_path / "pirate"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "one"}))
    bench.rows(row("one"), row("pirate", kind="adapter", path=str(adapter)))
    bench.page.library.select(str(adapter))
    bench.find("models.chat").click()
    loads = [(call[1], call[3]) for call in bench.session.calls if call[0] == "load"]
    assert loads == [("/models/one.gguf", str(adapter))]
    assert bench.opened == ["chat"]


def test_a_folder_of_weights_can_be_chatted_with(bench: Bench) -> None:
    bench.rows(row("one", kind="safetensors", path="/models/one"))
    bench.page.library.select("/models/one")
    bench.find("models.chat").click()
    assert [call[1] for call in bench.session.calls if call[0] == "load"] == ["/models/one"]


def test_reading_the_model_and_what_cannot_be_read(bench: Bench) -> None:
    bench.workshop.hold_plans = True
    bench.rows(row("one"))
    bench.page.library.select(FILE)
    bench.find("quantize.open").click()
    panel = bench.page.making.quantize_panel
    assert panel.state.isVisible()
    assert not bench.find("quantize.start").isEnabled()
    bench.workshop.plans[-1].set_exception(ModelFileError("one.gguf ends before its tensors.", "Download it again."))
    bench.qtbot.waitUntil(lambda: panel.state.title.text() == "This cannot be quantized")
    assert panel.state.text.text() == "one.gguf ends before its tensors. Download it again."
    panel.state.button.click()
    bench.workshop.plans[-1].set_result(plan_of(FILE))
    bench.qtbot.waitUntil(lambda: panel.types.isVisible())


def test_an_answer_for_the_model_before_is_dropped(bench: Bench) -> None:
    bench.workshop.hold_plans = True
    bench.rows(row("one"), row("two"))
    panel = bench.page.making.quantize_panel
    for name in ("one", "two"):
        bench.page.library.select(f"/models/{name}.gguf")
        bench.find("quantize.open").click()
        bench.page.show_view("library")
    late, asked = bench.workshop.plans
    asked.set_result(plan_of("/models/two.gguf"))
    late.set_result(plan_of("/models/one.gguf"))
    bench.qtbot.waitUntil(lambda: panel.plan is not None)
    bench.qtbot.wait(20)
    assert panel.plan is not None
    assert panel.plan.source == "/models/two.gguf"


def test_a_full_disk_and_a_quantized_source_are_said_before_the_start(bench: Bench) -> None:
    def plan(source: str, adapter: str) -> Plan:
        problem = "This model is quantized already: whatever is made of it loses twice."
        return plan_of(source, disk_free=1000, problem=problem, hint="Start from the original.")

    bench.workshop.next_plan = plan
    bench.rows(row("one"))
    bench.page.library.select(FILE)
    bench.find("quantize.open").click()
    bench.qtbot.waitUntil(lambda: bench.page.making.quantize_panel.plan is not None)
    assert "loses twice" in bench.find("quantize.reason").text()
    assert not bench.find("quantize.start").isEnabled()
    bench.find("quantize.advanced").click()
    assert bench.find("quantize.requantize").isVisible()


def test_escape_goes_back(opened: Bench) -> None:
    panel = opened.page.making.quantize_panel
    assert panel.isVisible()
    opened.qtbot.keyClick(panel.types, Qt.Key.Key_Escape)
    opened.qtbot.waitUntil(lambda: opened.page.library.isVisible())


def test_every_control_says_what_it_does(opened: Bench) -> None:
    opened.find("quantize.imatrix").setCurrentIndex(2)
    opened.find("quantize.advanced").click()
    for button in opened.page.making.quantize_panel.findChildren(QAbstractButton):
        if button.isVisible() and not isinstance(button.parent(), (QLineEdit, QTableView)):
            assert button.objectName(), button.text()
            assert button.accessibleName() or button.text(), button.objectName()
            assert button.toolTip(), button.objectName()
