"""Messages survive the wire, whatever is in them; what is no message is refused."""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground import params, protocol
from playground.params import BeamSettings, ContextSettings, SamplingSettings

TEXT = st.text(st.characters(codec=None), max_size=40)  # lone surrogates too: file names can hold them
NUMBER = st.floats(allow_nan=False)
LEAF = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBER | TEXT
OBJECT = st.dictionaries(
    TEXT, st.recursive(LEAF, lambda of: st.lists(of, max_size=3) | st.dictionaries(TEXT, of, max_size=3)), max_size=3
)
"""what JSON can say: figures and settings whose names a message does not know"""


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type."""
    if hint is SamplingSettings:
        return st.builds(
            SamplingSettings,
            temperature=st.floats(0, 2),
            top_k=st.integers(0, 1000),
            seed=st.integers(-1, 2**32 - 2),
            stop=st.lists(st.text(min_size=1), max_size=3).map(tuple),
            stages=st.permutations(params.STAGES).map(tuple),
        )
    if hint is ContextSettings:
        return st.builds(ContextSettings, context=st.integers(0, 100_000), kv_type_k=st.sampled_from(["f16", "q8_0"]))
    if hint is BeamSettings:
        return st.builds(
            BeamSettings, width=st.integers(1, 64), max_tokens=st.integers(1, 512), length_penalty=st.floats(-5, 5)
        )
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return st.builds(hint, **{name: values(each) for name, each in get_type_hints(hint).items()})
    if get_origin(hint) is dict:
        return OBJECT
    if get_origin(hint) is tuple:
        args = get_args(hint)
        if args[-1] is Ellipsis:
            return st.lists(values(args[0]), max_size=3).map(tuple)
        return st.tuples(*map(values, args))
    if None.__class__ in get_args(hint):
        return st.none() | values(next(arg for arg in get_args(hint) if arg is not type(None)))
    plain = {str: TEXT, int: st.integers(-(2**53), 2**53), float: NUMBER, bool: st.booleans()}
    return plain[hint] if hint in plain else st.sampled_from(get_args(hint))


def has_objects(hint: Any) -> bool:
    """Whether a JSON object lies somewhere in a type: such a message has no hash."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return any(has_objects(each) for each in get_type_hints(hint).values())
    return get_origin(hint) is dict or any(has_objects(each) for each in get_args(hint))


MESSAGES = sorted(protocol.classes().items())


@pytest.mark.parametrize("cls", [cls for _, cls in MESSAGES], ids=[name for name, _ in MESSAGES])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_message_comes_back_as_it_was(cls: type, data: st.DataObject) -> None:
    message = data.draw(values(cls))
    again = protocol.decode(protocol.encode(message))
    assert type(again) is cls
    assert again == message
    if not has_objects(cls):
        assert hash(again) == hash(message)


def test_numbers_that_are_none_come_back() -> None:
    tokens = protocol.Tokens(
        1, 0, 0, (protocol.TokenInfo(5, "x", -math.inf, math.nan, math.inf, (protocol.Alternative(1, "", -math.inf, 0.0),)),), 1
    )
    again = protocol.decode(protocol.encode(tokens)).tokens[0]
    assert again.logprob == -math.inf and math.isnan(again.probability) and again.entropy == math.inf
    assert again.alternatives[0].logprob == -math.inf


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_several_messages_arrive_together_and_in_order(data: st.DataObject) -> None:
    of_any = st.sampled_from([cls for _, cls in MESSAGES]).flatmap(values)
    several = data.draw(st.lists(of_any, min_size=1, max_size=4))
    assert [protocol.decode(each) for each in protocol.split(protocol.encode_all(several))] == several


def test_missing_fields_take_their_default() -> None:
    assert protocol.decode(b'{"Tokenize":{"request":3}}') == protocol.Tokenize(3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"\xff\xff",
        b"[]",
        b"{}",
        b'"Cancel"',
        b'{"Cancel":null}',
        b'{"Cancel":{}}',
        b'{"Cancel":{"request":1,"more":2}}',
        b'{"Nothing":{}}',
        b'{"Cancel":{"request":1},"Shutdown":{}}',
        b'{"Tokens":{"request":1,"sequence":0,"index":0,"tokens":[[1,"x"]],"used":1}}',
        b'{"Tokens":{"request":1,"sequence":0,"index":0,"tokens":[[1,"x",0,0,0,[[1]]]],"used":1}}',
        b'{"SetSampling":{"request":1,"settings":{"temperature":9}}}',
        b"[" * 100_000,
        b'{"Cancel":' * 5_000,
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a message"):
        protocol.decode(data)


@pytest.mark.parametrize("value", [None, 3, "Cancel", {"Cancel": {}}, object()])
def test_only_messages_are_sent(value: Any) -> None:
    with pytest.raises(TypeError, match="not a message"):
        protocol.encode(value)


def test_every_module_of_the_package_is_shown_and_no_two_messages_have_one_name() -> None:
    modules = [importlib.import_module(f"playground.protocol.{each.name}") for each in pkgutil.iter_modules(protocol.__path__)]
    defined = [
        each
        for module in modules
        for each in vars(module).values()
        if dataclasses.is_dataclass(each) and each.__module__ == module.__name__
    ]
    assert {each.__qualname__: each for each in defined} == protocol.classes()
    assert len(defined) == len(protocol.classes())
