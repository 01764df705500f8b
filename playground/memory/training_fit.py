"""What training takes: weights, gradients, optimizer states, activations; and how sharding divides them.

Formulas, all per device unless said otherwise:
- adapter parameters P = sum of rank x (in + out); gradients P, AdamW 2 P, 8-bit Adam about 2.03 bytes a parameter
- activations without checkpointing: tokens x [2 L (8 H + 4 K + 4 M) + 10 V] bytes (H hidden, K key-value width,
  M feed-forward width, L layers, V vocabulary), as published LoRA runs on queries and values show; a matrix that
  is trained or adapted beyond those keeps its input too (o: H, gate and up: H, down: M; 2 bytes an element)
- a feed-forward without a gate keeps 2 M in place of 4 M
- with checkpointing: 2 tokens H L, one layer recomputed, and the logits
- ZeRO-1 divides optimizer states by the number of devices, ZeRO-2 gradients too, ZeRO-3 and FSDP parameters too
  (Rajbhandari et al. 2020, table 1)
Activations are modelled, and calibrated on the user's own runs (`activation_factor`); nothing here is exact. For a step that computes in
fp32 without casts they are counted instead (`training_step`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .devices import Device
from .linear import adapter_parameters, linear_parameters, table_parameters
from .shape import ModelShape
from .training_step import active_width, step_bytes
from .transformers_fit import BYTES
from .words import amount

Method = Literal["lora", "qlora", "full"]
Optimizer = Literal["adamw", "adamw-8bit", "sgd"]
Sharding = Literal["none", "zero-1", "zero-2", "zero-3", "fsdp"]

SHARED: tuple[Sharding, ...] = ("zero-1", "zero-2", "zero-3", "fsdp")
"""the ways to share a run over devices, each sparing more than the one before"""

OPTIMIZER_STATES: dict[str, float] = {"adamw": 2.0, "sgd": 0.0}
"""States per parameter, each as wide as the trained weights; 8-bit Adam is counted in bytes: 2.03 a parameter."""

QLORA_ACTIVATIONS = 1.5
"""Activations under NF4 against bf16, as measured in one published stack (1.45 to 1.6): calibrate on one's own."""

RUNTIME_GUESS = 450 << 20
RUNTIME_HOST = 400 << 20
"""on a processor: torch, transformers and peft without any model (346 to 391 MiB on Linux)"""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What decides a run's memory. `sequence` in tokens, `batch` sequences at once on one device."""

    method: Method = "lora"
    rank: int = 16
    targets: tuple[str, ...] = ("all-linear",)
    batch: int = 1
    sequence: int = 512
    checkpointing: bool = False
    optimizer: Optimizer = "adamw"
    weights_bytes: float = 2.0
    trained_bytes: float = 2.0
    double_quant: bool = True
    sharding: Sharding = "none"
    devices: int = 1
    activation_factor: float = 1.0
    wide: bool = False
    """computed in fp32 without casts, as on a processor: see `training_step`. What follows counts only then"""
    labelled: float = 1.0
    """share of the positions for which logits are computed"""
    accumulates: bool = False
    """gradients of several batches add up for a step"""
    masked: bool = False
    """packed rows, which are kept from each other"""
    dropout: float = 0.0
    eight_bit: bool = False
    """the frozen model is stored in eight bits"""

    @property
    def tokens(self) -> int:
        return self.batch * self.sequence


@dataclass(frozen=True, slots=True)
class TrainingTerms:
    """Bytes on each device at the peak of a step."""

    weights: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    runtime: int

    @property
    def total(self) -> int:
        return self.weights + self.adapter + self.gradients + self.optimizer + self.activations + self.runtime

    def to_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in TrainingTerms.__slots__}


@dataclass(frozen=True, slots=True)
class TrainingFit:
    """The answer for a run: terms, the device, the verdict with one sentence, and what each figure rests on."""

    terms: TrainingTerms
    device: Device
    verdict: Literal["fits", "tight", "does not fit"]
    why: str
    trained_parameters: int
    plan: TrainingPlan
    basis: dict[str, str]

    def to_dict(self) -> dict[str, object]:
        return {
            "terms": self.terms.to_dict(),
            "total": self.terms.total,
            "devices": [{"name": self.device.name, "label": self.device.label, "free": self.device.free}],
            "verdict": self.verdict,
            "why": self.why,
            "trained_parameters": self.trained_parameters,
            "basis": dict(self.basis),
        }


def training_terms(shape: ModelShape, plan: TrainingPlan, runtime: int = RUNTIME_GUESS) -> TrainingTerms:
    """The terms of one device at the peak of a step, in bytes."""
    linear, tables = linear_parameters(shape), table_parameters(shape)
    rest = max(shape.parameters - linear, tables) if shape.parameters else tables
    trained = trained_parameters(shape, plan)
    if plan.method == "qlora":
        kind = "nf4-double" if plan.double_quant else "nf4"
        weights = linear * BYTES[kind] + rest * plan.weights_bytes
    elif plan.eight_bit:
        weights = linear * BYTES["int8"] + rest * plan.weights_bytes
    else:
        weights = (linear + rest) * plan.weights_bytes
    adapter = 0.0 if plan.method == "full" else trained * plan.trained_bytes
    states = (
        trained * 2.03 if plan.optimizer == "adamw-8bit" else trained * plan.trained_bytes * OPTIMIZER_STATES[plan.optimizer]
    )
    gradients = trained * plan.trained_bytes
    n = max(plan.devices, 1)
    sharding = plan.sharding
    return TrainingTerms(
        weights=round(weights / (n if sharding in ("zero-3", "fsdp") else 1)),
        adapter=round(adapter / (n if sharding in ("zero-3", "fsdp") else 1)),
        gradients=round(gradients / (n if sharding in ("zero-2", "zero-3", "fsdp") else 1)),
        optimizer=round(states / (n if sharding != "none" else 1)),
        activations=round(step_bytes(shape, plan, round(gradients)) * plan.activation_factor)
        if plan.wide
        else activation_bytes(shape, plan),
        runtime=runtime,
    )


def trained_parameters(shape: ModelShape, plan: TrainingPlan) -> int:
    """Parameters that get gradients: the adapter's, or all of them."""
    if plan.method == "full":
        return shape.parameters or linear_parameters(shape) + table_parameters(shape)
    return adapter_parameters(shape, plan.rank, plan.targets)


def activation_bytes(shape: ModelShape, plan: TrainingPlan) -> int:
    """Bytes kept for the backward pass in bf16 (modelled; see the module's docstring)."""
    steps = 4 if shape.gated else 2  # gate, up, activation, product; or up and activation
    per_layer = [8 * shape.embd + 4 * layer.k_width + steps * active_width(layer) for layer in shape.layers]
    logits = 10 * shape.vocab
    if plan.checkpointing:
        kept = 2 * shape.embd * len(per_layer)
        total = plan.tokens * (kept + 2 * max(per_layer, default=0) + logits)
    else:
        total = plan.tokens * (2 * (sum(per_layer) + _kept_inputs(shape, plan)) + logits)
    factor = plan.activation_factor * (QLORA_ACTIVATIONS if plan.method == "qlora" and not plan.checkpointing else 1.0)
    return round(total * factor)


def _kept_inputs(shape: ModelShape, plan: TrainingPlan) -> int:
    """Elements a token keeps, over all layers, as inputs of matrices that are trained or adapted."""
    every = plan.method == "full" or "all-linear" in plan.targets
    kept = 0
    for layer in shape.layers:
        kept += shape.embd * (every or "o_proj" in plan.targets)
        kept += shape.embd * (every or bool({"gate_proj", "up_proj"} & set(plan.targets)))
        kept += active_width(layer) * (every or "down_proj" in plan.targets)
        kept += shape.embd * (plan.method == "full")
    return kept


def training_fit(
    shape: ModelShape,
    plan: TrainingPlan,
    devices: Sequence[Device],
    *,
    held: Mapping[str, int] | None = None,
    runtime: Mapping[str, int] | None = None,
) -> TrainingFit:
    """The estimate on the first GPU, or on the host where there is none."""
    device = next((d for d in devices if d.is_gpu), None) or devices[-1]
    device = device.with_freed((held or {}).get(device.name, 0))
    usual = RUNTIME_GUESS if device.is_gpu else RUNTIME_HOST
    terms = training_terms(shape, plan, (runtime or {}).get(device.name, usual))
    share = terms.total / max(device.free, 1)
    need, free = amount(terms.total), amount(device.free)
    verdict: Literal["fits", "tight", "does not fit"]
    if share > 1:
        verdict, why = "does not fit", f"{device.name} has {free} free and {need} are needed. {_way_out(shape, plan, device)}"
    elif share > 0.9:
        verdict, why = "tight", f"It takes about {need} of the {free} free on {device.name}; activations are an estimate."
    else:
        verdict, why = "fits", f"It takes about {need} of the {free} free on {device.name}."
    calibrated = plan.activation_factor != 1.0
    basis = {
        "weights": shape.basis or "parameters x bytes of their format",
        "gradients": "trained parameters x their bytes",
        "optimizer": "AdamW keeps two states a parameter; 8-bit Adam about 2.03 bytes",
        "activations": ("counted tensor by tensor" if plan.wide else "modelled")
        + (", calibrated on runs of this machine" if calibrated else "" if plan.wide else ", fitted on published LoRA runs"),
        "runtime": "measured on this machine"
        if runtime and device.name in runtime
        else "a guess until a run has been measured",
    }
    return TrainingFit(terms, device, verdict, why, trained_parameters(shape, plan), plan, basis)


def sharding_plan(shape: ModelShape, plan: TrainingPlan, devices: int) -> dict[str, TrainingTerms]:
    """Terms per device for each way to share a run over `devices`: a plan for what does not fit on one."""
    return {way: training_terms(shape, replace(plan, sharding=way, devices=devices)) for way in ("none", *SHARED)}


def enough_devices(shape: ModelShape, plan: TrainingPlan, free: int, most: int = 64) -> dict[str, int]:
    """The fewest devices with `free` bytes each that a run fits on, for each way to share it; 0 where not even `most` will do."""
    found: dict[str, int] = {}
    for way in SHARED:

        def total(devices: int, way: Sharding = way) -> int:
            return training_terms(shape, replace(plan, sharding=way, devices=devices)).total

        least = 2 + bisect_left(range(2, most + 1), True, key=lambda devices: total(devices) <= free)
        found[way] = least if least <= most else 0
    return found


def _way_out(shape: ModelShape, plan: TrainingPlan, device: Device) -> str:
    """The first thing that would make the run fit."""
    tries: tuple[tuple[str, TrainingPlan], ...] = (
        ("Gradient checkpointing would do", replace(plan, checkpointing=True)),
        ("Batch 1 with checkpointing would do", replace(plan, checkpointing=True, batch=1)),
        ("LoRA would do", replace(plan, checkpointing=True, batch=1, method="lora" if plan.method == "full" else plan.method)),
        ("QLoRA would do", replace(plan, checkpointing=True, batch=1, method="qlora")),
        (
            "QLoRA at 512 tokens would do",
            replace(plan, checkpointing=True, batch=1, method="qlora", sequence=min(plan.sequence, 512)),
        ),
    )
    for text, other in tries:
        if other != plan and training_terms(shape, other).total <= device.free:
            return f"{text}."
    return "Take a smaller model, or share the run over several devices."
