"""Columns of a comparison from a rule: one setting in steps, a grid of two, several seeds, presets.

Pure: settings in, labelled settings out. Knows no comparison and no engine. At most `MOST` come of one rule.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from playground.errors import SettingError
from playground.params import PRESETS, SamplingSettings, Setting, changed, settings_of

MOST = 8
"""columns of one comparison"""

SWEPT = tuple(each for each in settings_of(SamplingSettings) if each.kind in (int, float))
"""the settings that a sweep can go through: those that are numbers"""


@dataclass(frozen=True)
class Labelled:
    """Settings, and in a few words what is theirs alone."""

    label: str
    settings: SamplingSettings


def steps(first: float, last: float, count: int) -> tuple[float, ...]:
    """`count` values from `first` to `last`, both included, at equal distances; one value alone is `first`."""
    if count < 1:
        raise SettingError(f"A sweep of {count} steps is none.", "Give at least one step.")
    if count == 1:
        return (first,)
    return tuple(round(first + (last - first) * place / (count - 1), 10) for place in range(count))


def sweep(base: SamplingSettings, name: str, values: Iterable[float]) -> tuple[Labelled, ...]:
    """The same settings with one of them at each of these values in turn; whole numbers where the setting wants them, each once."""
    return grid(base, {name: values})


def grid(base: SamplingSettings, axes: Mapping[str, Iterable[float]]) -> tuple[Labelled, ...]:
    """The same settings with every combination of values of these; the last named varies fastest."""
    named = [_setting(name) for name in axes]
    choices = [_values(known, values) for known, values in zip(named, axes.values(), strict=True)]
    found = []
    for combination in itertools.product(*choices):
        pairs = dict(zip((known.name for known in named), combination, strict=True))
        label = ", ".join(f"{known.label} {value:g}" for known, value in zip(named, combination, strict=True))
        found.append(Labelled(label, changed(base, **pairs)))
    return limited(found)


def seeds(base: SamplingSettings, count: int) -> tuple[Labelled, ...]:
    """The same settings with `count` seeds in a row, from the given one or from 1."""
    if count < 1:
        raise SettingError(f"{count} seeds are none.", "Give at least one.")
    first = base.seed if base.seed >= 0 else 1
    last = _setting("seed").maximum
    assert last is not None
    return limited(
        [
            Labelled(f"Seed {number}", changed(base, seed=number))
            for number in (int((first + each) % (last + 1)) for each in range(count))
        ]
    )


def presets(names: Sequence[str], known: Mapping[str, SamplingSettings] | None = None) -> tuple[Labelled, ...]:
    """Settings by the names of presets: those that ship, or `known`."""
    known = PRESETS if known is None else known
    missing = [name for name in names if name not in known]
    if missing:
        raise SettingError(f"There is no preset called '{missing[0]}'.", f"Known are: {', '.join(known)}.")
    return limited([Labelled(name, known[name]) for name in names])


def parse(text: str, base: SamplingSettings) -> tuple[Labelled, ...]:
    """Columns from a line such as `temperature 0..1.5 4`, `temperature 0 to 1.5 in 4 steps`, `top_p 0.5,0.9`, `seed 4`, or two of them
    with an x between: `top-p 0.5..1 2 x temperature 0..1 3`. `seed 4` are four seeds.

    SettingError, with an example, for what is none of these.
    """
    axes: dict[str, Iterable[float]] = {}
    for part in re.split(r"\s+[x×*]\s+", text.strip(), flags=re.IGNORECASE):
        name, values = _axis(part, base)
        if name in axes:
            raise SettingError(f"{name} is swept twice in '{text}'.", "Name two different settings.")
        axes[name] = values
    return grid(base, axes)


_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\s*(?:\.\.\.?|…|\bto\b|-|–)\s*({_NUMBER})\s+(?:in\s+)?(\d+)(?:\s*steps?)?")
_LIST = re.compile(rf"{_NUMBER}(?:\s*,\s*{_NUMBER})*")


def _axis(text: str, base: SamplingSettings) -> tuple[str, Iterable[float]]:
    words = re.match(r"\s*([A-Za-z][\w-]*(?:\s+(?!to\b|in\b)[A-Za-z]\w*)*)\s*[=:]?\s*(.*?)\s*$", text, re.DOTALL)
    if words is None:
        raise _unreadable(text)
    known, rest = _setting(words.group(1)), words.group(2)
    if (found := _RANGE.fullmatch(rest)) is not None:
        return known.name, steps(float(found[1]), float(found[2]), int(found[3]))
    if known.name == "seed" and re.fullmatch(r"\d+", rest):
        return known.name, [each.settings.seed for each in seeds(base, int(rest))]
    if _LIST.fullmatch(rest):
        return known.name, [float(value) for value in rest.split(",")]
    raise _unreadable(text)


def _unreadable(text: str) -> SettingError:
    return SettingError(f"'{text.strip()}' is not a sweep.", "Write for example: temperature 0..1.5 4")


def _setting(name: str) -> Setting:
    """By its name or its label, however it is written."""
    wanted = _plain(name)
    for known in SWEPT:
        if wanted in (_plain(known.name), _plain(known.label)):
            return known
    raise SettingError(f"There is no number called '{name}' to sweep.", f"Known are: {', '.join(each.name for each in SWEPT)}.")


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _values(known: Setting, values: Iterable[float]) -> list[Any]:
    of_kind = [round(value) if known.kind is int else float(value) for value in values]
    found = list(dict.fromkeys(of_kind))
    if not found:
        raise SettingError(f"There are no values for {known.name}.", "Give at least one.")
    return found


def limited(found: Sequence[Labelled]) -> tuple[Labelled, ...]:
    """As they are, if a comparison can hold so many."""
    if len(found) > MOST:
        raise SettingError(f"That makes {len(found)} columns; a comparison has at most {MOST}.", "Take fewer steps.")
    return tuple(found)
