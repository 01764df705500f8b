"""One click: settings for a model, a dataset and the memory that is free, each with the reason for it. Pure arithmetic.

The rules are rules of thumb of published runs: learning rates that fall with the width of a model, as many steps as a small dataset needs
to be learned and a large one needs once or twice, the method that fits with the least loss of precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from playground.errors import SettingError
from playground.memory.devices import Device
from playground.memory.shape import ModelShape
from playground.memory.training_fit import Method, Optimizer, TrainingFit, TrainingPlan, training_fit
from playground.params import from_pairs
from playground.training.settings import TrainSettings

Choose = Callable[[str, Any, str], None]
"""name, value, reason: does nothing where the name was wished for"""

SETTLED = 8
"""steps after which a processor's heap grows little more: batches of all lengths were there by then (3 steps of the starter took 200 MiB
beside the model, 10 took 320)"""
QUANTIZED = {"nf4": "qlora", "int8": "lora"}
"""the method that goes with a model stored so"""
SHARE = 0.85
"""of the free memory that a suggestion may take: activations are an estimate"""
STEPS = 64
"""of the optimizer that a small dataset gets at least"""
EPOCHS = 20
"""at most, by itself: beyond that rows are learned by heart"""
LONGEST = 2048
"""tokens of a sequence, unless somebody asks for more"""
ONE_THREAD = 64 << 20
"""bytes of weights below which a second processor thread costs more than it computes"""


@dataclass(frozen=True)
class Suggestion:
    """Settings, a reason for each that was chosen, and what they take."""

    settings: TrainSettings
    reasons: dict[str, str]
    fit: TrainingFit


@dataclass(frozen=True)
class Given:
    """What a suggestion rests on. `lengths`: tokens of the rows, uncut; `rows`: how many there are; `cores`: processor cores."""

    shape: ModelShape
    lengths: Sequence[int]
    rows: int
    devices: Sequence[Device]
    cores: int = 1
    bf16: bool = True
    """whether the graphics card computes in bf16"""
    quantized: str = ""
    """how the model's folder is stored, if in few bits: `nf4` or `int8`"""
    runtime: Mapping[str, int] = field(default_factory=dict)
    """bytes that the libraries take by themselves, by device, as measured here"""
    factors: Mapping[str, float] = field(default_factory=dict)
    """how much activations took of what the formula says, as measured here, by `factor_key`"""
    starts: Sequence[int] = ()
    """of each row the place of the first token that carries loss"""


def suggest(given: Given, wishes: Mapping[str, Any] | None = None) -> Suggestion:
    """Settings with everything that is wished for, and the rest chosen to go with it. SettingError for a wish that cannot be."""
    wishes = dict(wishes or {})
    settings, reasons = from_pairs(TrainSettings, wishes), {}

    def choose(name: str, value: Any, why: str) -> None:
        nonlocal settings
        if name not in wishes:
            settings, reasons[name] = replace(settings, **{name: value}), why

    gpu = settings.device == "auto" and any(device.is_gpu for device in given.devices)
    if settings.optimizer == "paged-adamw-8bit" and not gpu:
        raise SettingError("optimizer paged-adamw-8bit needs a graphics card.", "Choose adamw-8bit, or adamw.")
    if given.quantized == "nf4":
        choose("method", "qlora", "The model is stored in four bits.")
    elif given.quantized:
        choose("method", "lora", "The model is stored in eight bits; the adapter is trained beside it.")
    if given.quantized and settings.method not in ("lora", QUANTIZED[given.quantized]):
        raise SettingError(
            f"method {settings.method} does not go with a model that is stored in {given.quantized}.",
            f"Choose {QUANTIZED[given.quantized]}, or the original model.",
        )
    if not gpu:
        choose("precision", "fp32", "Processors compute fastest and exactly in fp32.")
        small = given.shape.parameters * 4 < ONE_THREAD
        choose(
            "threads",
            1 if small else given.cores,
            "The model is small: more threads would wait for each other." if small else "One for each core.",
        )
    else:
        choose("precision", "bf16" if given.bf16 else "fp16", "The format that this graphics card computes fastest in.")
    _length(given, choose)
    _amount(given, settings, wishes, choose)
    width = max(given.shape.embd, 1)
    if settings.method == "full":
        rate = _rounded(min(1e-4, max(1e-5, 2e-5 * math.sqrt(4096 / width))))
    else:
        rate = _rounded(min(2e-3, max(1e-4, 2e-4 * (4096 / width) ** 0.75)))
    choose("learning_rate", rate, f"Usual for a model of width {width:,}: narrower ones take more.")
    choose("alpha", 2.0 * settings.rank, "Twice the rank, as is usual.")
    _fitting(given, lambda: settings, wishes, choose)
    return Suggestion(settings, reasons, fit_of(given, settings))


def fit_of(given: Given, settings: TrainSettings) -> TrainingFit:
    """What these settings take on the device that they would run on."""
    devices = [device for device in given.devices if not device.is_gpu] if settings.device == "cpu" else given.devices
    gpu = any(device.is_gpu for device in devices)
    return training_fit(given.shape, plan_of(settings, given, gpu), devices, runtime=given.runtime)


def factor_key(method: str, checkpointing: bool, gpu: bool) -> str:
    """What runs have in common that take activations alike."""
    return f"{method} {'recomputed ' if checkpointing else ''}on {'GPU' if gpu else 'CPU'}"


def plan_of(settings: TrainSettings, given: Given, gpu: bool) -> TrainingPlan:
    """The run as the memory estimate knows it. No sequence is longer than the longest row, and no batch larger than all rows."""
    sequence, batch = settings.sequence_length, settings.batch
    if given.lengths and not settings.packing:
        sequence = min(sequence, max(given.lengths))
        batch = min(batch, max(1, given.rows))
    optimizer: Optimizer = "adamw" if settings.optimizer == "adamw" else "adamw-8bit"
    wide = settings.precision == "fp32"
    return TrainingPlan(
        method=settings.method,
        rank=settings.rank,
        targets=settings.targets,
        batch=batch,
        sequence=sequence,
        checkpointing=settings.checkpointing,
        optimizer=optimizer,
        weights_bytes=4.0 if wide or settings.method != "lora" else 2.0,
        trained_bytes=4.0,
        activation_factor=given.factors.get(factor_key(settings.method, settings.checkpointing, gpu), 1.0),
        wide=wide,
        labelled=1.0 if settings.packing else _labelled(given, sequence, batch),
        accumulates=settings.accumulation > 1,
        masked=settings.packing,
        dropout=settings.dropout,
        eight_bit=given.quantized == "int8" and settings.method == "lora",
    )


def _labelled(given: Given, sequence: int, batch: int) -> float:
    """Of the positions of the longest batch, the share from the first on that carries loss in any of its rows."""
    rows = sorted(zip(given.lengths, given.starts, strict=False), reverse=True)[:batch]
    first = min((start for _, start in rows), default=0)
    return max(0.0, min(1.0, (sequence - first) / max(1, sequence)))


def lower(settings: TrainSettings) -> tuple[str, dict[str, Any], bool] | None:
    """What to lower after memory ran out: a sentence, the changes, and whether the run can go on with them. None where nothing is left."""
    if settings.batch > 1:
        batch = settings.batch // 2
        changes = {"batch": batch, "accumulation": -(-settings.group // batch)}
        goes_on = batch * changes["accumulation"] == settings.group
        return f"Take {batch} rows at once in place of {settings.batch}; the steps stay the same.", changes, goes_on
    if not settings.checkpointing:
        return "Turn gradient checkpointing on: much less memory, about a third slower.", {"checkpointing": True}, True
    if settings.sequence_length > 128:
        shorter = max(128, settings.sequence_length // 2 // 64 * 64)
        return f"Cut rows at {shorter} tokens in place of {settings.sequence_length}.", {"sequence_length": shorter}, False
    if settings.method != "qlora":
        return "Train with the model in four bits (qlora).", {"method": "qlora"}, False
    return None


def measured_factor(summary: Mapping[str, Any]) -> float:
    """Activations of a run that has ended against the formula; 0 where that cannot be said, as after a few steps only."""
    try:
        if summary["step"] - summary.get("first", 0) < SETTLED:
            return 0.0
        terms, used = summary["predicted"]["terms"], summary["predicted"]["activation_factor"]
        beside = terms["gradients"] + terms["optimizer"]
        took = summary["peak_memory"] - summary["loaded_memory"] - beside
        return max(0.0, float(took) / (terms["activations"] / used)) if summary["loaded_memory"] else 0.0
    except (KeyError, TypeError, ZeroDivisionError):
        return 0.0


# -- rules


def _length(given: Given, choose: Choose) -> None:
    longest = max(given.lengths, default=64)
    most = min(given.shape.context_train or LONGEST, LONGEST)
    wanted = max(64, -(-longest // 8) * 8)
    if wanted <= most:
        choose("sequence_length", wanted, f"The longest row has {longest:,} tokens.")
    else:
        cut = sum(1 for each in given.lengths if each > most)
        choose(
            "sequence_length", most, f"{cut:,} of {len(given.lengths):,} rows are longer, and are cut: memory grows with it."
        )


def _amount(given: Given, settings: TrainSettings, wishes: Mapping[str, Any], choose: Choose) -> None:
    rows = max(1, round(given.rows * (1 - settings.validation_share)))
    group = 8 if rows < 1000 else 16 if rows < 20_000 else 32
    if "batch" in wishes or "accumulation" in wishes:
        group = max(group, settings.batch)
    batch = settings.batch if "batch" in wishes else min(group, 8)
    choose("batch", batch, f"Steps of {group} rows suit {rows:,} rows.")
    choose("accumulation", max(1, group // batch), f"Steps of {group} rows suit {rows:,} rows.")
    in_epoch = math.ceil(rows / group)
    epochs = float(min(EPOCHS, max(1 if rows > 50_000 else 2 if rows > 5_000 else 3, math.ceil(STEPS / in_epoch))))
    choose("epochs", epochs, f"{in_epoch:,} steps go through the data once; about {STEPS} or more teach something.")


def _fitting(given: Given, settings_now: Callable[[], TrainSettings], wishes: Mapping[str, Any], choose: Choose) -> None:
    """The first of ever smaller ways that fits, tried in the order in which they cost least."""
    now: TrainSettings = settings_now()
    methods: list[Method] = [now.method] if "method" in wishes or given.quantized else ["lora", "qlora"]
    recompute = [now.checkpointing] if "checkpointing" in wishes else [False, True]
    sizes = [now.batch] if "batch" in wishes else [size for size in (now.batch, now.batch // 2, now.batch // 4, 1) if size]
    for method in methods:
        for checkpointing in recompute:
            for size in dict.fromkeys(sizes):
                accumulation = now.accumulation if "accumulation" in wishes else max(1, now.group // size)
                tried = replace(now, method=method, checkpointing=checkpointing, batch=size, accumulation=accumulation)
                found = fit_of(given, tried)
                if found.terms.total <= SHARE * found.device.free:
                    _take(tried, found, choose, now)
                    return
    found = fit_of(given, tried)
    _take(tried, found, choose, now)


def _take(tried: TrainSettings, found: TrainingFit, choose: Choose, now: TrainSettings) -> None:
    if tried.method != "full":
        plain = "An adapter is enough, and the model fits as it is."
        choose("method", tried.method, plain if tried.method == "lora" else f"In four bits the model takes less. {found.why}")
    choose(
        "checkpointing", tried.checkpointing, f"Without, it would not fit. {found.why}" if tried.checkpointing else found.why
    )
    if tried.batch != now.batch:
        at_once = "One row at once fits" if tried.batch == 1 else f"{tried.batch} rows at once fit"
        why = f"{at_once}; gradients of {tried.accumulation} batches are added up for a step."
        choose("batch", tried.batch, why)
        choose("accumulation", tried.accumulation, why)


def _rounded(value: float) -> float:
    """To one digit, as people write learning rates."""
    return float(f"{value:.0e}")
