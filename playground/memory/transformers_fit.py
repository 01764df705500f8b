"""What a model takes through transformers: full precision, or bitsandbytes NF4 with and without double quantisation.

Only linear layers are quantised. NF4 holds 4 bits and one f32 scale per 64 weights (0.5625 bytes); double
quantisation stores those scales in 8 bits with one f32 per 256 of them (about 0.516). Falcon-7B measured by litgpt:
14.50 GB bf16, 5.72 NF4, 5.38 double. The cache and activations are modelled: they grow with what is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from .devices import Device
from .fit import COMFORT, RUNTIME_GUESS, DeviceFit, Fit, Terms, Verdict, rule_of_thumb
from .linear import linear_parameters, table_parameters
from .shape import ModelShape
from .words import amount

Load = Literal["f32", "bf16", "f16", "int8", "nf4", "nf4-double", "stored"]

BYTES: dict[str, float] = {
    "f32": 4.0,
    "bf16": 2.0,
    "f16": 2.0,
    "int8": 1.0,
    "nf4": 0.5 + 4 / 64,
    "nf4-double": 0.5 + 1 / 64 + 4 / (64 * 256),
    "stored": 2.0,
}
"""Bytes a linear weight takes in each format; `stored` is as the files have it, quantized already."""


_QUANTIZED = ("int8", "nf4", "nf4-double")


def weight_bytes(shape: ModelShape, load: Load) -> int:
    """Bytes of the weights once loaded; embeddings, norms and head in bf16 where the rest is quantized."""
    if load == "stored" and shape.tensors:
        return sum(shape.tensors.values())
    linear = linear_parameters(shape)
    rest = max(shape.parameters - linear, 0) if shape.parameters else table_parameters(shape)
    other = BYTES[load] if load in ("f32", "bf16", "f16") else 2.0
    return round(linear * BYTES[load] + rest * other)


def cache_bytes(shape: ModelShape, tokens: int, sequences: int, element: float = 2.0) -> int:
    """Bytes of keys and values after `tokens` per sequence; sliding layers keep their window."""
    total = 0.0
    for layer in shape.layers:
        kept = min(tokens, shape.window) if layer.sliding and shape.window else tokens
        if layer.attention and layer.has_kv:
            total += kept * sequences * (layer.k_width + layer.v_width) * element
        if layer.recurrent and shape.state is not None:
            total += (shape.state.conv_row + shape.state.scan_row) * 4 * sequences
    return round(total)


def activation_bytes(shape: ModelShape, prompt: int, sequences: int, element: float = 2.0) -> int:
    """Bytes at the peak of reading a prompt: a layer's widest step, and the last position's logits in f32."""
    tokens = prompt * sequences
    widths = [3 * (layer.feed_forward or layer.experts_used * layer.expert_ff) + 2 * shape.embd for layer in shape.layers]
    return round(tokens * max(widths, default=0) * element + sequences * shape.vocab * (4 + element))


def transformers_fit(
    shape: ModelShape,
    devices: Sequence[Device],
    *,
    load: Load = "bf16",
    context: int = 4096,
    sequences: int = 1,
    held: Mapping[str, int] | None = None,
    runtime: Mapping[str, int] | None = None,
) -> Fit:
    """The estimate on the first GPU, or on the host where there is none."""
    device = next((d for d in devices if d.is_gpu), None) or devices[-1]
    device = device.with_freed((held or {}).get(device.name, 0))
    element = 4.0 if load == "f32" else 2.0
    guess = RUNTIME_GUESS["gpu" if device.is_gpu else "host"] + (0 if device.is_gpu else 400 << 20)
    terms = Terms(
        weights=weight_bytes(shape, load),
        kv_cache=cache_bytes(shape, context, sequences, element),
        compute=activation_bytes(shape, min(context, 2048), sequences, element),
        output=sequences * shape.vocab * 4,
        runtime=(runtime or {}).get(device.name, guess),
    )
    one = DeviceFit(device, terms)
    verdict, why = judge(one)
    thumb = rule_of_thumb(shape.parameters or linear_parameters(shape) + table_parameters(shape), 8 * BYTES[load])
    basis = {
        "weights": shape.basis
        + (f"; linear layers in {load.partition('-')[0]}, the rest in bf16" if load in _QUANTIZED else f"; loaded as {load}"),
        "kv_cache": "exact for a full context; it grows as text is written",
        "compute": "modelled: the widest step of one layer over a prompt of up to 2048 tokens",
        "output": "exact",
        "runtime": "measured on this machine" if runtime and device.name in runtime else "a guess: torch and its libraries",
    }
    count = len(shape.layers) + 1
    return Fit((one,), verdict, why, context, count if device.is_gpu else 0, count, thumb, basis)


def judge(one: DeviceFit) -> tuple[Verdict, str]:
    """Verdict and sentence for a model that lies on one device."""
    need, free = amount(one.terms.total), amount(one.device.free)
    if one.share > 1:
        lack = amount(one.terms.total - one.device.free)
        return "does not fit", f"{one.device.name} has {free} free and {need} are needed: {lack} short."
    if one.share > COMFORT:
        return "tight", f"It takes {need} of the {free} free on {one.device.name}, which leaves little for anything else."
    return "fits", f"It takes {need} of the {free} free on {one.device.name}."
