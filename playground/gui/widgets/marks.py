"""The small marks in a reply at the places where a slider took effect: what they say, and how close ones become one.

Pure: knows settings and characters, no widget.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from playground.history.records import GenerationRow
from playground.params import SamplingSettings, settings_of

NEAR = 48
"""characters within which changes of the same settings are one mark: a slider that is dragged changes many times"""

_SHORT = {
    "top_k": "top-k ",
    "top_p": "top-p ",
    "min_p": "min-p ",
    "repetition_penalty": "rep ",
    "repeat_last_n": "window ",
    "frequency_penalty": "freq ",
    "presence_penalty": "pres ",
    "adapter_scale": "adapter ",
    "max_tokens": "longest ",
    "stop": "stop strings",
    "stages": "order",
}


_NAMES = tuple(field.name for field in dataclasses.fields(SamplingSettings) if field.name != "seed")


@dataclass(frozen=True)
class Mark:
    """Settings that changed from `before` to `after` for the tokens from `index` on; `offset` is a character of the message."""

    offset: int
    index: int
    before: SamplingSettings
    after: SamplingSettings
    last_index: int

    @property
    def names(self) -> tuple[str, ...]:
        return changed(self.before, self.after)

    @property
    def label(self) -> str:
        """What the mark shows: `0.2`, `top-k 20`, `0.2 +2`."""
        names = self.names
        if not names:
            return "="
        first = names[0]
        text = _SHORT.get(first, "" if first == "temperature" else first + " ")
        if first not in ("stop", "stages"):
            text += _number(getattr(self.after, first))
        return text + (f" +{len(names) - 1}" if len(names) > 1 else "")

    @property
    def tip(self) -> str:
        """`Temperature 0.80 → 0.20, from token 37 on`, a line for each setting."""
        known = {each.name: each for each in settings_of(SamplingSettings)}
        place = f"from token {self.index}" + (f" to {self.last_index}, step by step" if self.last_index > self.index else " on")
        lines = []
        for name in self.names:
            before, after = getattr(self.before, name), getattr(self.after, name)
            if name in ("stop", "stages"):
                lines.append(f"{known[name].label}: {', '.join(after) or 'none'}")
            elif isinstance(after, float):
                lines.append(f"{known[name].label} {before:.2f} → {after:.2f}")
            else:
                lines.append(f"{known[name].label} {before} → {after}")
        return "\n".join(lines or ["Back to what it was"]) + f"\n{place}"


def changed(before: SamplingSettings, after: SamplingSettings) -> tuple[str, ...]:
    """Names of the settings that differ; the seed is drawn anew each time and does not count."""
    return tuple(name for name in _NAMES if getattr(before, name) != getattr(after, name))


def add(
    marks: tuple[Mark, ...], offset: int, index: int, before: SamplingSettings, after: SamplingSettings
) -> tuple[Mark, ...]:
    """The marks with one more change, which goes into the last mark if it stands close to it and concerns the same settings."""
    if not changed(before, after):
        return marks
    if marks:
        last = marks[-1]
        same = set(changed(before, after)) <= set(last.names) or not last.names
        if same and offset - last.offset <= NEAR and last.after == dataclasses.replace(before, seed=last.after.seed):
            return (*marks[:-1], dataclasses.replace(last, after=after, last_index=index))
    return (*marks, Mark(offset, index, before, after, index))


def of_generation(generation: GenerationRow, base: int) -> tuple[Mark, ...]:
    """The marks of a recorded completion that begins at character `base` of its message."""
    return of_changes(generation.settings, ((base + each.offset, each.index, each.settings) for each in generation.timeline))


def of_changes(start: SamplingSettings, changes: Iterable[tuple[int, int, SamplingSettings]]) -> tuple[Mark, ...]:
    marks: tuple[Mark, ...] = ()
    before = start
    for offset, index, settings in changes:
        marks = add(marks, offset, index, before, settings)
        before = settings
    return marks


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
