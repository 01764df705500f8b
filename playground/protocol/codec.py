"""Messages as JSON bytes, and back. Knows no message by name but the two that come by the thousand."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from playground.errors import SettingError
from playground.protocol.parts import Alternative, TokenInfo

Message = Any


def encode(message: Message) -> bytes:
    """JSON bytes `{"<class name>": {fields}}` of a message. TypeError for anything else. NaN and infinities are allowed."""
    name = type(message).__name__
    if classes().get(name) is not type(message):
        raise TypeError(f"{name} is not a message of the protocol")
    return _plain.encode({name: message}).encode("utf-8", "surrogatepass")


def decode(data: bytes) -> Message:
    """The message in JSON bytes. ValueError if the bytes are none."""
    try:
        ((name, fields),) = json.loads(data.decode("utf-8", "surrogatepass")).items()
        return _builder(classes()[name])(fields)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, SettingError) as error:
        raise ValueError(f"not a message: {data[:80]!r}") from error


def encode_all(messages: Iterable[Message]) -> bytes:
    """Several messages as they go over a connection together: a line of JSON each."""
    return b"\n".join(map(encode, messages))


def split(data: bytes) -> list[bytes]:
    """The bytes of each message of `encode_all`."""
    return data.split(b"\n")


def _fields_of(part: Any) -> Any:
    """What JSON is made of a dataclass: its fields by name, or a bare list for the two that come by the thousand."""
    if type(part) is TokenInfo:
        return [
            part.token_id,
            part.text,
            part.logprob,
            part.probability,
            part.entropy,
            [[each.token_id, each.text, each.logprob, each.probability] for each in part.alternatives],
        ]
    return vars(part)


_plain = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=_fields_of)


@cache
def classes() -> dict[str, type]:
    """Every message, and every part of one, by name: the dataclasses that the package shows and its modules define."""
    package = __name__.rpartition(".")[0]
    return {
        name: each
        for name, each in vars(sys.modules[package]).items()
        if isinstance(each, type) and dataclasses.is_dataclass(each) and each.__module__.startswith(f"{package}.")
    }


def _token_info(value: Any) -> TokenInfo:
    """A token from its list: the hot path, so its dictionaries are filled directly instead of through `__init__`."""
    token_id, text, logprob, probability, entropy, rows = value
    alternatives = []
    for row in rows:
        each = _new(Alternative)
        _set(each, "__dict__", dict(zip(_ALTERNATIVE, row, strict=True)))
        alternatives.append(each)
    return TokenInfo(token_id, text, logprob, probability, entropy, tuple(alternatives))


_new: Any = object.__new__
_set = object.__setattr__
_ALTERNATIVE = ("token_id", "text", "logprob", "probability")


@cache
def _builder(hint: Any) -> Callable[[Any], Any]:
    """A function that makes a value of the hinted type of parsed JSON; unknown fields are an error, missing ones take their default."""
    if hint is TokenInfo:
        return _token_info
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        builders = {name: _builder(each) for name, each in get_type_hints(hint).items()}
        return lambda value: hint(**{name: builders[name](item) for name, item in value.items()})
    origin, args = get_origin(hint), get_args(hint)
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            of = _builder(args[0])
            return tuple if of is _same else lambda value: tuple([of(item) for item in value])
        each = [_builder(arg) for arg in args]
        return lambda value: tuple(build(item) for build, item in zip(each, value, strict=True))
    if origin in (Union, types.UnionType):
        of = _builder(next(arg for arg in args if arg is not type(None)))
        return lambda value: None if value is None else of(value)
    return _same


def _same(value: Any) -> Any:
    return value
