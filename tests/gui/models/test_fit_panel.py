"""The fit panel: it follows its sliders, asks only the newest question, and shows the numbers of `memory` as they are."""

from __future__ import annotations

import math
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
from PySide6.QtWidgets import QAbstractButton, QLabel, QWidget

from playground.errors import ModelFileError
from playground.gui.bridge import when_done
from playground.gui.widgets.amounts import amount
from playground.gui.widgets.fit_bar import FitBar
from playground.gui.widgets.fit_panel import FitPanel
from playground.history.records import FitRow
from playground.memory.fit import fit, rule_of_thumb
from playground.memory.training_fit import training_fit
from playground.session.dry_run import Counted
from playground.session.shelf import usual
from tests.gui.models.conftest import FakeFits


@pytest.fixture
def fits() -> FakeFits:
    return FakeFits()


@pytest.fixture
def panel(dressed: Any, qtbot: Any, fits: FakeFits, subject: Any) -> FitPanel:
    made = FitPanel(fits)
    qtbot.addWidget(made)
    made.resize(360, 700)
    made.show()
    made.show_subject(subject.subject, {"CPU": 1 << 20})
    return made


def answer(fits: FakeFits, subject: Any, place: int = -1) -> Any:
    """Settles a question with what the arithmetic says."""
    questions = [(arguments, future) for kind, arguments, future in fits.asked if kind == "fit"]
    (what, settings, held), future = questions[place]
    found = fit(what.shape, settings, subject.devices, held=held)
    future.set_result(found)
    return found


def bars(panel: FitPanel) -> list[FitBar]:
    return [bar for bar in panel._bars if bar.isVisible()]


def test_the_numbers_are_those_of_memory(panel: FitPanel, fits: FakeFits, subject: Any, qtbot: Any) -> None:
    assert panel.settings() == usual(subject.subject.shape)
    found = answer(fits, subject)
    qtbot.waitUntil(lambda: bool(bars(panel)))
    assert panel.why.text() == found.why
    assert panel.chip.verdict() == found.verdict
    assert panel.terms.terms() == found.terms.to_dict()
    (bar,) = bars(panel)
    assert bar.terms() == found.devices[0].terms.to_dict()
    assert bar._free == found.devices[0].device.free == (8 << 30) + (1 << 20)
    shape = subject.subject.shape
    assert found.rule_of_thumb == rule_of_thumb(shape.parameters, 8 * shape.weight_bytes / shape.parameters)
    assert "rule of thumb" in panel.thumb.text()


def test_the_numbers_of_a_model_that_is_not_shown_any_more_are_not_shown(
    panel: FitPanel, fits: FakeFits, subject: Any, qtbot: Any
) -> None:
    panel.show_subject(replace(subject.subject))
    answer(fits, subject, 0)
    late: Future[None] = Future()
    delivered: list[None] = []
    when_done(late, panel, delivered.append)
    late.set_result(None)
    qtbot.waitUntil(lambda: bool(delivered))
    assert not bars(panel)
    answer(fits, subject, 1)
    qtbot.waitUntil(lambda: bool(bars(panel)))


def test_a_slider_is_followed_and_a_late_answer_does_not_come_back(
    panel: FitPanel, fits: FakeFits, subject: Any, qtbot: Any
) -> None:
    panel.run.context.slider.setValue(8192)
    panel.run.kv_type.combo.setCurrentText("q8_0")
    assert [arguments[1].context for kind, arguments, _ in fits.asked if kind == "fit"] == [4096, 8192, 8192]
    newest = answer(fits, subject, 2)
    qtbot.waitUntil(lambda: panel.terms.terms() == newest.terms.to_dict())
    older = answer(fits, subject, 0)
    assert older.terms != newest.terms
    panel.run.sequences.slider.setValue(1)
    last = answer(fits, subject)
    qtbot.waitUntil(lambda: panel.terms.terms() == last.terms.to_dict())
    assert panel.settings().kv_type_v == "q8_0"


def test_a_part_of_the_bar_says_what_it_rests_on(panel: FitPanel, fits: FakeFits, subject: Any, qtbot: Any) -> None:
    found = answer(fits, subject)
    qtbot.waitUntil(lambda: bool(bars(panel)))
    bar = bars(panel)[0]
    bar.resize(4000, 60)
    name, rect = bar._parts()[0]
    tip = bar.tip_at(round(rect.center().x()), round(rect.center().y()))
    assert name == "weights"
    assert found.basis["weights"] in tip
    assert "other programs" in bar.tip_at(3990, 30)


def test_the_largest_context_is_said_and_can_be_taken(panel: FitPanel, fits: FakeFits, subject: Any, qtbot: Any) -> None:
    answer(fits, subject)
    qtbot.waitUntil(lambda: any(kind == "largest" for kind, _, _ in fits.asked))
    next(future for kind, _, future in fits.asked if kind == "largest").set_result(6144)
    qtbot.waitUntil(lambda: "6,144" in panel.largest.text())
    panel.take_largest.click()
    assert panel.settings().context == 6144


def test_training_has_its_own_terms(panel: FitPanel, fits: FakeFits, subject: Any, qtbot: Any) -> None:
    panel.findChild(QAbstractButton, "models.fit.train").click()
    panel.train.method.combo.setCurrentText("QLoRA")
    panel.train.batch.slider.setValue(4)
    panel.train.checkpointing.setChecked(True)
    (what, plan, held), future = [(a, f) for kind, a, f in fits.asked if kind == "training"][-1]
    assert (plan.method, plan.batch, plan.checkpointing, plan.rank) == ("qlora", 4, True, 16)
    found = training_fit(what.shape, plan, subject.devices, held=held)
    future.set_result(found)
    qtbot.waitUntil(lambda: panel.terms.terms() == found.terms.to_dict())
    assert panel.why.text() == found.why
    panel.train.method.combo.setCurrentText("Full")
    assert not panel.train.rank.isEnabled()


def test_a_run_too_large_for_one_device_is_shared_out(panel: FitPanel, fits: FakeFits, subject: Any, qtbot: Any) -> None:
    from playground.memory.training_fit import enough_devices, sharding_plan

    panel.findChild(QAbstractButton, "models.fit.train").click()

    def settle() -> Any:
        (what, plan, held), future = [(a, f) for kind, a, f in fits.asked if kind == "training"][-1]
        found = training_fit(what.shape, plan, subject.devices, held=held)
        future.set_result(found)
        qtbot.waitUntil(lambda: panel.why.text() == found.why)
        return what.shape, plan, found

    *_, small = settle()
    assert small.verdict != "does not fit"
    assert not panel.sharing.isVisible()
    panel.train.devices.slider.setValue(4)
    shape, plan, found = settle()
    qtbot.waitUntil(panel.sharing.isVisible)
    cells = {way: labels[1].text() for way, labels in panel.sharing.cells.items()}
    assert cells == {way: amount(terms.total) for way, terms in sharding_plan(shape, plan, 4).items() if way != "none"}
    panel.train.devices.slider.setValue(1)
    panel.train.batch.slider.setValue(64)
    panel.train.sequence.slider.setValue(8192)
    panel.train.method.combo.setCurrentText("Full")
    shape, plan, found = settle()
    assert found.verdict == "does not fit"
    qtbot.waitUntil(panel.sharing.isVisible)
    enough = enough_devices(shape, plan, found.device.free)
    said = panel.sharing.cells["zero-3"][2].text()
    assert said == ("fits" if enough["zero-3"] else "not even on 64 devices")
    panel.findChild(QAbstractButton, "models.fit.run").click()
    answer(fits, subject)
    qtbot.waitUntil(lambda: not panel.sharing.isVisible())


def test_the_engine_is_asked_when_it_is_wanted(panel: FitPanel, fits: FakeFits, subject: Any, qtbot: Any) -> None:
    answer(fits, subject)
    qtbot.waitUntil(lambda: bool(bars(panel)))
    assert not panel.engine.button.isVisible()  # a model that is not on this disk
    panel.show_subject(subject.subject, {}, "/models/one.gguf")
    found = answer(fits, subject)
    qtbot.waitUntil(lambda: panel.terms.terms() == found.terms.to_dict() and panel.engine.button.isVisible())

    def asked() -> Any:
        return [(a, f) for kind, a, f in fits.asked if kind == "dry_run"][-1]

    panel.engine.button.click()
    (path, settings), future = asked()
    assert (path, settings) == ("/models/one.gguf", panel.settings())
    counted = Counted({"CPU": {"weights": 5 << 20, "kv_cache": 3 << 20, "compute": 1 << 20}}, settings.context, 0)
    future.set_result(counted)
    qtbot.waitUntil(panel.engine.terms.isVisible)
    assert panel.engine.terms.measured() == counted.terms
    assert panel.engine.terms.terms() == {name: found.terms.to_dict()[name] for name in counted.terms}
    panel.run.context.slider.setValue(2048)  # other settings: the count was for those before
    assert not panel.engine.terms.isVisible()
    panel.engine.button.click()
    asked()[1].set_exception(ModelFileError("The file is damaged.", "Download it again."))
    qtbot.waitUntil(lambda: panel.engine.said.text() == "The file is damaged. Download it again.")
    panel.findChild(QAbstractButton, "models.fit.train").click()
    assert not panel.engine.isVisible()


def test_gpu_layers_are_offered_where_there_is_a_gpu(panel: FitPanel, fits: FakeFits, subject: Any, qtbot: Any) -> None:
    from playground.memory.devices import Device

    answer(fits, subject)
    qtbot.waitUntil(lambda: bool(bars(panel)))
    assert not panel.run.gpu_layers.isVisible()
    subject.devices = (Device("CUDA0", "a card", 8 << 30, 7 << 30, True), *subject.devices)
    panel.run.context.slider.setValue(2048)
    answer(fits, subject)
    qtbot.waitUntil(lambda: len(bars(panel)) == 2)
    assert panel.run.gpu_layers.isVisible()
    assert panel.run.gpu_layers.slider.travel.maximum == len(subject.subject.shape.layers) + 1


def test_what_was_measured_stands_beside_what_was_predicted(panel: FitPanel, fits: FakeFits, subject: Any, qtbot: Any) -> None:
    found = answer(fits, subject)
    qtbot.waitUntil(lambda: bool(bars(panel)))
    predicted = {"CPU": found.terms.to_dict()}
    measured = {"CPU": {"weights": 1000, "kv_cache": 2000, "compute": 3000}}
    panel.show_measured(FitRow("1", "/x.gguf", context={"context": 4096}, predicted=predicted, measured=measured))
    assert panel.measured_terms.isVisible()
    assert panel.measured_terms.measured() == measured["CPU"]
    assert panel.measured_terms.terms()["weights"] == found.terms.weights
    panel.show_measured(None)
    assert not panel.measured_terms.isVisible()


def test_a_failure_is_a_sentence(panel: FitPanel, fits: FakeFits, qtbot: Any) -> None:
    from playground.errors import ModelFileError

    next(future for kind, _, future in fits.asked if kind == "fit").set_exception(
        ModelFileError("This is no model.", "Choose another.")
    )
    qtbot.waitUntil(lambda: panel.why.text() == "This is no model. Choose another.")
    panel.show_message("A damaged model is not estimated.")
    assert panel.subject() is None


def test_number_formats_are_computed_from_their_definitions(panel: FitPanel, qtbot: Any) -> None:
    from playground.gui.widgets import number_formats as formats

    assert formats.fp32(math.pi) == pytest.approx(math.pi, abs=1.3e-7)
    assert formats.fp16(math.pi) == 3.140625
    assert formats.bf16(math.pi) == 3.140625
    assert formats.bf16(1.00390625) == 1.0  # half-way: to even
    assert abs(formats.int8(math.pi) - math.pi) <= 4 / 127 / 2
    assert formats.nf4(math.pi) == 0.7229568362236023 * 4
    card = panel.open_formats(panel)
    qtbot.addWidget(card)
    assert {"FP32", "BF16", "NF4"} <= {label.text() for label in card.findChildren(QLabel)}
    card.close()


def test_compute_planner(panel: FitPanel, qtbot: Any) -> None:
    from playground.gui.widgets.compute_planner import Compute, ComputePlanner, span

    plan = Compute(7e9, 140e9, devices=8, tflops=400, utilisation=0.4)
    assert plan.flops == 6 * 7e9 * 140e9
    assert plan.days == pytest.approx(5.88e21 / (8 * 400e12 * 0.4) / 86400)
    assert plan.best_tokens == 140e9
    assert replace(plan, devices=16).days == plan.days / 2
    assert [span(each) for each in (800, 53.2, 2.5, 0.2, 0.001)] == [
        "2.2 years",
        "53 days",
        "2.5 days",
        "4.8 hours",
        "1.4 minutes",
    ]
    card = ComputePlanner(7e9)
    qtbot.addWidget(card)
    assert card.plan().parameters == 7e9
    assert card.findChild(QLabel, "models.planner.best").text() == "140B tokens"
    card.rows["devices"].slider.setValue(64)
    assert card.plan().devices == 64


def test_the_controls_can_be_made_in_steps_ahead_of_the_first_model(
    dressed: Any, qtbot: Any, fits: FakeFits, subject: Any
) -> None:
    ready, half, asked = FitPanel(fits), FitPanel(fits), FitPanel(fits)
    steps = 1
    while ready.prepare():
        steps += 1
    assert steps > 2
    assert not ready.prepare()  # and nothing is made twice
    half.prepare()
    for panel in (ready, half, asked):
        qtbot.addWidget(panel)
        panel.show_subject(subject.subject, {})
    assert controls(ready) == controls(half) == controls(asked)
    assert len(controls(asked)) > 20


def controls(panel: FitPanel) -> list[str]:
    return [each.objectName() for each in panel.findChildren(QWidget) if each.objectName().startswith("models.fit")]
