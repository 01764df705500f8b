"""Records to columns and back: lists and settings as JSON, what is not a finite number as NULL, text as SQLite can hold it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from playground.errors import SettingError
from playground.history.records import (
    Column,
    FitRow,
    GenerationRow,
    MessageRow,
    PromptRow,
    ResultRow,
    SessionRow,
    TimelineEntry,
    TokenRow,
    VoteRow,
)
from playground.params import SamplingSettings, from_dict, to_dict

SESSION = tuple(field.name for field in dataclasses.fields(SessionRow))
MESSAGE = tuple(field.name for field in dataclasses.fields(MessageRow))
GENERATION = tuple(field.name for field in dataclasses.fields(GenerationRow) if field.name != "asked")
FIT = tuple(field.name for field in dataclasses.fields(FitRow))
GENERATION_LIGHT = tuple(name for name in GENERATION if name not in ("prompt", "prompt_ids"))
"""what a list of generations shows; a long prompt is read only for the one that is opened"""
VOTE = tuple(field.name for field in dataclasses.fields(VoteRow))
PROMPT = tuple("idx" if field.name == "index" else field.name for field in dataclasses.fields(PromptRow))
RESULT = tuple("idx" if field.name == "index" else field.name for field in dataclasses.fields(ResultRow))
TOKEN = ("idx", "token_id", "text", "logprob", "probability", "entropy", "alternatives")


def to_column(name: str, value: Any) -> Any:
    """A record's field as what is bound to a statement."""
    if isinstance(value, str):
        return (value or None) if name in ("parent_id", "better_id", "worse_id") else clean(value)
    if isinstance(value, SamplingSettings):
        return dump(to_dict(value))
    if name == "columns":
        return dump([{**dataclasses.asdict(each), "settings": to_dict(each.settings)} for each in value])
    if name == "timeline":
        return dump([{"index": each.index, "offset": each.offset, "settings": to_dict(each.settings)} for each in value])
    if isinstance(value, (tuple, list, dict)):
        return dump(value)
    if isinstance(value, float):
        return finite(value)
    return value


def to_columns(record: Any) -> dict[str, Any]:
    names = GENERATION if isinstance(record, GenerationRow) else tuple(field.name for field in dataclasses.fields(record))
    return {name: to_column(name, getattr(record, name)) for name in names}


def session(row: Mapping[str, Any]) -> SessionRow:
    columns = tuple(found for each in load(row["columns"], []) if (found := column(each)) is not None)
    return SessionRow(**{**row, "sampling": _sampling_of(row["sampling"]), "columns": columns})


def column(data: Any) -> Column | None:
    """A comparison's column as stored; None for what is none. What another version left in it is passed over."""
    if not isinstance(data, dict) or not isinstance(data.get("id"), str):
        return None
    texts = {name: data[name] for name in ("reply_start", "label", "model") if isinstance(data.get(name), str)}
    return Column(data["id"], sampling(data.get("settings")), **texts)


def message(row: Mapping[str, Any]) -> MessageRow:
    return MessageRow(**{**row, "parent_id": row["parent_id"] or ""})


def generation(row: Mapping[str, Any]) -> GenerationRow:
    """From all columns, or from those of `GENERATION_LIGHT`."""
    values = dict(row)
    values["context"] = load(row["context"], {})
    values["settings"] = _sampling_of(row["settings"])
    values["timeline"] = tuple(
        TimelineEntry(each["index"], each["offset"], sampling(each["settings"])) for each in load(row["timeline"], [])
    )
    values["batches"] = tuple((size, count) for size, count in load(row["batches"], []))
    if "prompt_ids" in values:
        values["prompt_ids"] = tuple(load(row["prompt_ids"], []))
    if "asked" in values:
        values["asked"] = values["asked"] or ""
    return GenerationRow(**values)


def fit(row: Mapping[str, Any]) -> FitRow:
    return FitRow(**{**row, **{name: load(row[name], {}) for name in ("context", "predicted", "measured")}})


def vote(row: Mapping[str, Any]) -> VoteRow:
    return VoteRow(**{**row, **{name: row[name] or "" for name in ("better_id", "worse_id")}})


def prompt(row: Iterable[Any]) -> PromptRow:
    """From a row in the order of `PROMPT`."""
    index, text, system, more = row
    return PromptRow(index, text, system, load(more, {}))


def result(row: Iterable[Any]) -> ResultRow:
    """From a row in the order of `RESULT`."""
    values = dict(zip(RESULT, row, strict=True))
    values["index"] = values.pop("idx")
    values["token_ids"] = tuple(load(values["token_ids"], []))
    for name in ("mean_logprob", "mean_entropy"):
        values[name] = math.nan if values[name] is None else values[name]
    return ResultRow(**values)


def token_columns(token: TokenRow) -> tuple[Any, ...]:
    """In the order of `TOKEN`. Alternatives are kept to 7 digits, which is what a model computes in; they are the bulk of a database."""
    alternatives = "[]"
    if token.alternatives:
        alternatives = clean(
            _compact(
                [[token_id, text, short(logprob), short(chance)] for token_id, text, logprob, chance in token.alternatives]
            )
        )
    return (
        token.index,
        token.token_id,
        clean(token.text),
        finite(token.logprob),
        finite(token.probability),
        finite(token.entropy),
        alternatives,
    )


def token(row: Iterable[Any]) -> TokenRow:
    """From a row in the order of `TOKEN`."""
    index, token_id, text, logprob, probability, entropy, alternatives = row
    return TokenRow(
        index,
        token_id,
        text,
        -math.inf if logprob is None else logprob,
        math.nan if probability is None else probability,
        math.nan if entropy is None else entropy,
        tuple(
            (each[0], each[1], -math.inf if each[2] is None else each[2], math.nan if each[3] is None else each[3])
            for each in load(alternatives, [])
        ),
    )


@lru_cache(maxsize=1024)
def _sampling_of(text: str) -> SamplingSettings:
    """Most rows of a list have the same settings."""
    return sampling(load(text, {}))


def sampling(data: Any) -> SamplingSettings:
    """Settings as stored. What another version or a stray hand left in them that cannot be, takes its default."""
    if not isinstance(data, dict):
        return SamplingSettings()
    try:
        return from_dict(SamplingSettings, data)
    except (SettingError, TypeError):
        found = SamplingSettings()
        for name, value in data.items():
            try:
                found = from_dict(SamplingSettings, {**to_dict(found), name: value})
            except (SettingError, TypeError):
                continue
        return found


def clean(text: str) -> str:
    """Text that UTF-8 can carry: halves of a surrogate pair are joined, one without the other becomes the replacement character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def short(number: float | None) -> float | None:
    return float(f"{number:.7g}") if number is not None and math.isfinite(number) else None


def dump(value: Any) -> str:
    """Compact JSON that any reader takes: numbers that JSON lacks become null."""
    try:
        return clean(_compact(value))
    except ValueError:
        return clean(_compact(_finite_parts(value)))


_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str).encode


def load(text: Any, default: Any) -> Any:
    """JSON of a column; the default where it is of another kind or none at all."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return default
    return found if isinstance(found, type(default)) else default


def _finite_parts(value: Any) -> Any:
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, dict):
        return {name: _finite_parts(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite_parts(item) for item in value]
    return value
