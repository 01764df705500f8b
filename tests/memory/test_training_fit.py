"""Training: trained parameters, what checkpointing and sharding save, and the published peaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from playground.memory import Device, TrainingPlan, sharding_plan, training_fit
from playground.memory.linear import adapter_parameters
from playground.memory.training_fit import SHARED, enough_devices, training_terms
from playground.memory.transformers_fit import BYTES, transformers_fit, weight_bytes

from .training_report import shape_of, training_report

GIB = 1 << 30
PEAKS = Path(__file__).resolve().parents[3] / "shared" / "memory" / "finetune_peaks.jsonl"


def test_lora_parameters_are_what_peft_counts():
    # PEFT prints 9,175,040 for rank 32 on q_proj and v_proj of Llama 3.2 3B
    assert adapter_parameters(shape_of("Llama-3.2-3B"), 32, ("q_proj", "v_proj")) == 9_175_040


def test_falcon_in_bf16_and_nf4():
    shape = shape_of("falcon-7b")
    assert weight_bytes(shape, "bf16") == pytest.approx(13.84e9, rel=0.01)
    assert weight_bytes(shape, "nf4-double") < weight_bytes(shape, "nf4") < weight_bytes(shape, "bf16") / 3
    assert BYTES["nf4"] == 0.5625
    assert pytest.approx(0.516, abs=0.0005) == BYTES["nf4-double"]


def test_checkpointing_saves_activations_only():
    shape, plan = shape_of("llama-3.1-8b"), TrainingPlan(sequence=2048, batch=2)
    plain, checked = training_terms(shape, plan), training_terms(shape, replace(plan, checkpointing=True))
    assert checked.activations < plain.activations / 4
    assert replace(checked, activations=0) == replace(plain, activations=0)


def test_sharding_divides_what_it_says():
    ways = sharding_plan(shape_of("llama-3.1-8b"), TrainingPlan(method="full"), devices=4)
    one = ways["none"]
    assert ways["zero-1"].optimizer * 4 == pytest.approx(one.optimizer, abs=4)
    assert ways["zero-1"].gradients == one.gradients
    assert ways["zero-2"].gradients * 4 == pytest.approx(one.gradients, abs=4)
    assert ways["zero-2"].weights == one.weights
    assert ways["zero-3"] == ways["fsdp"]
    assert ways["zero-3"].weights * 4 == pytest.approx(one.weights, abs=4)


def test_the_fewest_devices_are_enough_and_one_less_is_not():
    shape, plan, free = shape_of("llama-3.1-8b"), TrainingPlan(method="full", sequence=1024, checkpointing=True), 40 * GIB
    enough = enough_devices(shape, plan, free)
    assert list(enough) == list(SHARED)
    assert enough["zero-3"] == enough["fsdp"] > 1
    for way, least in enough.items():
        if least:
            assert sharding_plan(shape, plan, least)[way].total <= free
            assert least == 2 or sharding_plan(shape, plan, least - 1)[way].total > free
        else:
            assert sharding_plan(shape, plan, 64)[way].total > free
    assert set(enough_devices(shape, plan, GIB).values()) == {0}


def test_what_does_not_fit_says_what_would():
    card = Device("CUDA0", "a card", 24 * GIB, 23 * GIB, True)
    answer = training_fit(shape_of("llama-3.1-8b"), TrainingPlan(method="full", sequence=2048), [card])
    assert answer.verdict == "does not fit"
    assert "would do" in answer.why
    small = training_fit(shape_of("llama-3.1-8b"), TrainingPlan(method="qlora", checkpointing=True), [card])
    assert small.verdict == "fits"


def test_transformers_on_a_machine_without_a_card():
    answer = transformers_fit(shape_of("llama-3.2-1b"), [Device("CPU", "processor", 16 * GIB, 12 * GIB)], load="bf16")
    assert answer.verdict == "fits"
    assert answer.devices[0].terms.weights == pytest.approx(2.47e9, rel=0.01)


@pytest.mark.skipif(not PEAKS.exists(), reason="published peaks are not here")
def test_published_peaks():
    last = training_report(PEAKS).splitlines()[-1]
    median, worst = (float(last.split(word)[1].split()[0]) for word in ("median", "worst"))
    assert median < 6
    assert worst < 20
