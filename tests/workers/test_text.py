"""Characters and stop strings that span tokens."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from playground.workers.text import Stops, Utf8, token_texts


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(ends)]


@settings(deadline=None)
@given(st.text(), st.lists(st.integers(0, 1000), max_size=8))
def test_texts_of_tokens_join_to_the_text(text: str, places: list[int]) -> None:
    assert "".join(token_texts(cut(text.encode(), places))) == text


@settings(deadline=None)
@given(st.binary(max_size=40), st.lists(st.integers(0, 1000), max_size=8))
def test_bytes_that_are_no_text_do_no_harm(data: bytes, places: list[int]) -> None:
    assert "".join(token_texts(cut(data, places))) == data.decode("utf-8", "replace")


def test_a_character_begun_before() -> None:
    utf8 = Utf8([b"x", b"\xf0\x9f"])
    assert utf8.add(b"\xa6") + utf8.add(b"\x8a!") == "🦊!"


@settings(deadline=None)
@given(
    st.lists(st.text("abc", max_size=4), max_size=12), st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3)
)
def test_a_stop_string_is_found_wherever_tokens_end(pieces: list[str], stops: list[str]) -> None:
    text = "".join(pieces)
    looking = Stops(stops)
    free = 0
    for count in range(len(pieces)):
        free, stopped = looking.add(pieces[count])
        so_far = "".join(pieces[: count + 1])
        if stopped:
            # As soon as one is whole: an earlier beginning of a longer one counts only if that one is whole too.
            places = [so_far.find(stop) for stop in stops if stop in so_far]
            assert free == min(places)
            return
        assert not any(stop in so_far for stop in stops)
        held = so_far[free:]
        assert held == "" or any(stop.startswith(held) for stop in stops)
    assert not any(stop in text for stop in stops)
