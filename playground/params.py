"""Settings, each declared once: default, range, unit, label and help.

Sliders, command-line options and documents are all made from these dataclasses. A bad value or combination is refused in
`__post_init__`, naming the field. Nothing here knows an engine or a widget.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from playground.errors import SettingError

Scale = Literal["linear", "log"]


@dataclass(frozen=True)
class Setting:
    """What is known of one field: enough to make a slider, an option and a line of documentation."""

    name: str
    default: Any
    kind: type
    label: str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    unit: str = ""
    scale: Scale = "linear"
    choices: tuple[str, ...] = ()
    off: float | None = None
    """The value at which the setting does nothing; None where there is none."""


def setting(default: Any, *, label: str, help: str, **more: Any) -> Any:
    """A dataclass field that carries what a `Setting` needs in its metadata."""
    return dataclasses.field(default=default, metadata={"label": label, "help": help, **more})


T = TypeVar("T")


def settings_of(cls: type) -> tuple[Setting, ...]:
    """The settings of a dataclass, in the order of their declaration."""
    return _settings_of(cls)


@cache  # every check of every settings object asks: reading type hints takes most of a millisecond
def _settings_of(cls: Any) -> tuple[Setting, ...]:
    hints = get_type_hints(cls)
    found = []
    for field in dataclasses.fields(cls):
        if "label" in field.metadata:
            hint = hints[field.name]
            kind = tuple if get_origin(hint) is tuple else hint
            choices = get_args(hint) if get_origin(hint) is Literal else ()
            more = {"choices": choices, **field.metadata}
            found.append(Setting(field.name, field.default, str if choices else kind, **more))
    return tuple(found)


def setting_of(cls: type, name: str) -> Setting:
    """One setting by its field's name. KeyError if the class has no such setting."""
    return {each.name: each for each in settings_of(cls)}[name]


def changed(value: T, **changes: Any) -> T:
    """A copy with some fields changed, checked again."""
    return dataclasses.replace(value, **changes)  # type: ignore[type-var]


def from_pairs(cls: type[T], pairs: dict[str, Any], base: T | None = None) -> T:
    """Settings from names and values, the values as text or already of their type. Unknown names are refused."""
    known = {each.name: each for each in settings_of(cls)}
    values: dict[str, Any] = {}
    for name, value in pairs.items():
        if name not in known:
            raise SettingError(f"There is no setting called '{name}'.", f"Known are: {', '.join(known)}.")
        values[name] = _of_kind(known[name], value)
    return cls(**values) if base is None else changed(base, **values)


def to_dict(value: Any) -> dict[str, Any]:
    """The fields as plain JSON values (tuples become lists)."""
    return {
        field.name: list(item) if isinstance(item := getattr(value, field.name), tuple) else item
        for field in dataclasses.fields(value)
    }


def from_dict(cls: type[T], data: dict[str, Any]) -> T:
    """The inverse of `to_dict`; fields that this version does not know are left out, so that old and new files open."""
    known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in data.items() if name in known})


def _of_kind(known: Setting, value: Any) -> Any:
    if not isinstance(value, str) or known.kind is str:
        return value
    try:
        if known.kind is bool:
            return {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}[
                value.lower()
            ]
        if known.kind is tuple:
            return tuple(part for part in value.split(",") if part)
        return known.kind(value)
    except (KeyError, ValueError):
        raise SettingError(f"'{value}' is not a value for {known.name}.", known.help) from None


def check(value: Any) -> None:
    """Refuses a field out of its range or of the wrong type, by name."""
    for known in settings_of(type(value)):
        item = getattr(value, known.name)
        if known.choices and item not in known.choices:
            raise SettingError(f"{known.name} cannot be '{item}'.", f"Choose one of: {', '.join(known.choices)}.")
        if known.kind in (int, float):
            if isinstance(item, bool) or not isinstance(item, (int, float)) or not math.isfinite(item):
                raise SettingError(f"{known.name} must be a number, not {item!r}.", known.help)
            if known.kind is int and item != int(item):
                raise SettingError(f"{known.name} must be a whole number, not {item}.", known.help)
            low, high = known.minimum, known.maximum
            if (low is not None and item < low) or (high is not None and item > high):
                bounds = (
                    f"from {_number(low)} to {_number(high)}"
                    if low is not None and high is not None
                    else f"at least {_number(low)}"
                )
                raise SettingError(f"{known.name} = {item} is out of range.", f"It goes {bounds}.")


def _number(value: Any) -> str:
    """A bound as a person writes it: no exponents, no trailing zeros."""
    return f"{value:,.10g}" if isinstance(value, int) or float(value).is_integer() else f"{value:g}"


STAGES = ("penalties", "top_k", "top_p", "min_p", "temperature")
"""The sampler chain's default order; the draw comes last, always."""


@dataclass(frozen=True)
class SamplingSettings:
    """How the next token is chosen from the model's logits."""

    temperature: float = setting(
        0.8,
        label="Temperature",
        help="How bold the choice is: 0 always takes the likeliest token, 1 keeps the model's own odds, above that "
        "unlikely tokens gain.",
        minimum=0.0,
        maximum=2.0,
        step=0.01,
        off=1.0,
    )
    top_k: int = setting(
        40,
        label="Top-k",
        help="Only the k likeliest tokens stay in the draw. 0 turns it off.",
        minimum=0,
        maximum=1000,
        step=1,
        scale="log",
        off=0,
    )
    top_p: float = setting(
        0.95,
        label="Top-p",
        help="Only the likeliest tokens that together reach this probability stay in the draw. 1 turns it off.",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
        off=1.0,
    )
    min_p: float = setting(
        0.05,
        label="Min-p",
        help="Tokens less likely than this fraction of the likeliest one leave the draw. 0 turns it off.",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
        off=0.0,
    )
    repetition_penalty: float = setting(
        1.0,
        label="Repetition penalty",
        help="Makes tokens that were used lately less likely: their logits are divided by it (multiplied if negative). "
        "1 turns it off.",
        minimum=0.5,
        maximum=2.0,
        step=0.01,
        off=1.0,
    )
    repeat_last_n: int = setting(
        64,
        label="Penalty window",
        help="How many of the latest tokens, prompt included, the penalties look at. 0 turns the penalties off.",
        minimum=0,
        maximum=4096,
        step=1,
        unit="tokens",
        scale="log",
        off=0,
    )
    frequency_penalty: float = setting(
        0.0,
        label="Frequency penalty",
        help="Taken from a token's logit once for every time it occurs in the penalty window.",
        minimum=-2.0,
        maximum=2.0,
        step=0.01,
        off=0.0,
    )
    presence_penalty: float = setting(
        0.0,
        label="Presence penalty",
        help="Taken once from the logit of every token that occurs in the penalty window at all.",
        minimum=-2.0,
        maximum=2.0,
        step=0.01,
        off=0.0,
    )
    adapter_scale: float = setting(
        1.0,
        label="Adapter",
        help="How strongly the adapter that is loaded bends the model: 0 is the bare model, 1 what the adapter was trained for, "
        "more exaggerates it. Without an adapter it does nothing.",
        minimum=0.0,
        maximum=2.0,
        step=0.01,
        off=0.0,
    )
    seed: int = setting(
        -1,
        label="Seed",
        help="The same seed, settings and prompt give the same reply. -1 takes a new one each time and notes it down.",
        minimum=-1,
        maximum=2**32 - 2,
        step=1,
    )
    max_tokens: int = setting(
        1024,
        label="Longest reply",
        help="The reply ends after this many tokens, if the model has not ended it before. 0: until the context is full.",
        minimum=0,
        maximum=1_000_000,
        step=1,
        unit="tokens",
        scale="log",
    )
    stop: tuple[str, ...] = setting(
        (),
        label="Stop strings",
        help="The reply ends as soon as one of these appears in it; the string itself is left out.",
    )
    stages: tuple[str, ...] = setting(
        STAGES,
        label="Order of stages",
        help="The order in which the stages of the sampler chain are applied, before the draw.",
    )

    def __post_init__(self) -> None:
        check(self)
        if sorted(self.stages) != sorted(STAGES):
            raise SettingError("stages must name every stage once.", f"They are: {', '.join(STAGES)}.")
        if any(not isinstance(text, str) or not text for text in self.stop):
            raise SettingError("A stop string cannot be empty.", "Remove it, or write something in it.")

    @property
    def greedy(self) -> bool:
        """Temperature 0: the likeliest token after the penalties, no draw."""
        return self.temperature == 0


PRESETS: dict[str, SamplingSettings] = {
    "Balanced": SamplingSettings(),
    "Precise": SamplingSettings(temperature=0.2, top_k=20, top_p=0.9, min_p=0.1),
    "Creative": SamplingSettings(temperature=1.2, top_k=0, top_p=1.0, min_p=0.05),
}
"""The presets that ship: by name, in the order in which they are offered."""

Precision = Literal["auto", "f32", "bf16", "f16", "int8", "nf4"]


@dataclass(frozen=True)
class BeamSettings:
    """A beam search: how many continuations are kept, how long they may get, how finished ones are ranked."""

    width: int = setting(
        4,
        label="Beams",
        help="How many continuations are kept at every step. 1 is greedy decoding.",
        minimum=1,
        maximum=64,
        step=1,
    )
    max_tokens: int = setting(
        16,
        label="Most tokens",
        help="A continuation is not made longer than this.",
        minimum=1,
        maximum=512,
        step=1,
        unit="tokens",
    )
    length_penalty: float = setting(
        1.0,
        label="Length penalty",
        help="A finished continuation is scored by its summed log-probability divided by its length to this power: 0 favours short ones, "
        "1 takes the mean of a token, more favours long ones.",
        minimum=-5.0,
        maximum=5.0,
        step=0.1,
    )
    early_stopping: Literal["off", "on", "never"] = setting(
        "off",
        label="Early stopping",
        help="When the search ends: off, when no living beam looks better than those that have ended; on, as soon as as many have ended as "
        "there are beams; never, only when none can become better any more.",
    )
    arithmetic: Literal["auto", "f32", "engine"] = setting(
        "auto",
        label="Arithmetic",
        help="engine computes as in a chat, where 16-bit weights round what they are multiplied with: scores are off by some thousandths. f32 "
        "does not round, with a second copy of the weights; auto does so for small models.",
    )

    def __post_init__(self) -> None:
        check(self)


KvType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]


@dataclass(frozen=True)
class ContextSettings:
    """How a model is loaded: the context window, its cache, and what runs where."""

    context: int = setting(
        0,
        label="Context window",
        help="How many tokens the model can look back on. 0 takes what the model was trained for, as far as memory allows.",
        minimum=0,
        maximum=16_777_216,
        step=256,
        unit="tokens",
        scale="log",
    )
    batch: int = setting(
        2048,
        label="Batch",
        help="The most tokens handed to the model at once.",
        minimum=1,
        maximum=65536,
        step=1,
        unit="tokens",
    )
    ubatch: int = setting(
        512,
        label="Micro-batch",
        help="The most tokens computed at once; a larger one reads long prompts faster and takes more memory.",
        minimum=1,
        maximum=65536,
        step=1,
        unit="tokens",
    )
    sequences: int = setting(
        8, label="Sequences", help="How many replies can be decoded at the same time.", minimum=1, maximum=64, step=1
    )
    kv_type_k: KvType = setting("f16", label="K cache type", help="The number format of the cached keys.")
    kv_type_v: KvType = setting(
        "f16", label="V cache type", help="The number format of the cached values; a quantized one needs flash attention."
    )
    flash_attention: Literal["auto", "on", "off"] = setting(
        "auto", label="Flash attention", help="Computes attention in tiles, which saves memory at long contexts."
    )
    gpu_layers: int = setting(
        -1,
        label="GPU layers",
        help="How many layers run on the GPU. -1 takes as many as fit.",
        minimum=-1,
        maximum=100_000,
        step=1,
    )
    experts_on_cpu: int = setting(
        0,
        label="Expert layers on CPU",
        help="Of a mixture-of-experts model: in how many layers the experts stay in main memory.",
        minimum=0,
        maximum=100_000,
        step=1,
    )
    unified_kv: bool = setting(
        True, label="Shared cache", help="All sequences share one cache, so that a common prompt is kept once."
    )
    precision: Precision = setting(
        "auto",
        label="Precision",
        help="Of a model folder: the number format its weights are loaded in; auto takes that of the file. nf4 and int8 take the least "
        "memory. A GGUF file is what it is.",
    )
    threads: int = setting(
        0,
        label="Threads",
        help="Processor threads used. 0 takes the number of physical cores.",
        minimum=0,
        maximum=1024,
        step=1,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.ubatch > self.batch:
            raise SettingError(f"ubatch = {self.ubatch} is larger than batch = {self.batch}.", "Lower ubatch or raise batch.")
        if self.kv_type_v not in ("f32", "f16", "bf16") and self.flash_attention == "off":
            raise SettingError(
                "kv_type_v cannot be quantized without flash attention.", "Turn flash attention on, or take f16."
            )
