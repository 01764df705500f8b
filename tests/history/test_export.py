"""A chat leaves as Markdown or JSON, and comes back from JSON as it was."""

from __future__ import annotations

import dataclasses
import json
import math
import random

import pytest

from playground.errors import DataError, PlaygroundError
from playground.history.export import from_json, to_json, to_markdown
from playground.history.records import TimelineEntry, TokenRow
from playground.history.store import Store
from playground.params import SamplingSettings
from tests.history.chats import generation, message, reply, session, tokens


@pytest.fixture
def story(store: Store) -> Store:
    store.add_session(session(title="A  story\n", system="Be brief.", tip="a2", sampling=SamplingSettings(top_k=3)))
    store.add_message(message("q", "Tell me a story"))
    store.add_message(reply("a1", "The first version", "q"))
    store.add_message(reply("a2", "Once upon a time\n```python\nprint(1)", "q", state="stopped", reply_start="Once"))
    store.add_generation(generation("g1", "a1", state="end"))
    settings = SamplingSettings(temperature=0.25, top_k=7)
    timeline = (TimelineEntry(2, 9, SamplingSettings(temperature=1.5)),)
    store.add_generation(
        generation("g2", "a2", settings=settings, timeline=timeline, seed=5, prompt="P", prompt_ids=(1, 2), state="end")
    )
    store.append_tokens("g2", tokens(" upon", " a"))
    store.append_tokens("g2", [TokenRow(2, 9, " time", -math.inf, 0.0, math.nan, ((9, " time", -math.inf, 0.0),))])
    store.add_generation(
        generation(
            "g3", "a2", settings=settings, continued=3, completion_tokens=4, model_name="a <b>", seed=5, timeline=timeline
        )
    )
    return store


def test_markdown_is_the_visible_branch_with_a_line_on_what_made_each_reply(story: Store) -> None:
    story.update_generation("g3", state="cancelled")
    text = to_markdown(story.chat("s"))
    title, when, rest = text.split("\n\n", 2)
    assert title == "# A story"
    assert when.startswith("*19")
    assert rest == (
        "## System\n\nBe brief.\n\n## You\n\nTell me a story\n\n## Model\n\nOnce upon a time\n```python\nprint(1)\n```\n\n"
        "<sub>a &lt;b> · temperature 0.25 · top_k 7 · seed 5 · settings changed 1 x on the way · 4 tokens · stopped</sub>\n"
    )


def test_an_empty_chat(store: Store) -> None:
    store.add_session(session())
    assert to_markdown(store.chat("s")).startswith("# Untitled chat\n")
    with Store() as other:
        assert other.chat(from_json(other, to_json(store, "s"))) == store.chat("s")


def test_json_comes_back_as_it_was(story: Store) -> None:
    text = to_json(story, "s")
    with Store() as other:
        assert from_json(other, text) == "s"
        assert to_json(other, "s") == to_json(story, "s").replace('"state": "streaming"', '"state": "interrupted"')
        assert other.messages("s") == story.messages("s")
        assert other.generation("g2") == story.generation("g2")
        assert repr(other.tokens("g2")) == repr(story.tokens("g2"))
        assert other.search("version")


def test_json_has_one_order_and_is_strict(story: Store) -> None:
    text = to_json(story, "s")
    assert text == to_json(story, "s")

    def refuse(name: str) -> None:
        raise AssertionError(name)

    data = json.loads(text, parse_constant=refuse)
    assert list(data) == ["format", "version", "session", "messages", "generations"]
    assert [each["id"] for each in data["messages"]] == ["q", "a1", "a2"]
    assert len(data["generations"][1]["tokens"]) == 3
    assert "tokens" not in json.loads(to_json(story, "s", with_tokens=False))["generations"][1]


def test_a_chat_that_is_here_already_comes_in_as_a_copy(story: Store) -> None:
    new = from_json(story, to_json(story, "s"))
    assert new != "s"
    old, copy = story.chat("s"), story.chat(new)
    assert [each.content for each in copy.path()] == [each.content for each in old.path()]
    assert [len(copy.siblings(each)) for each in copy.path()] == [1, 2]
    assert [each.text for each in story.tokens(story.generations_of(copy.session.tip)[0].id)] == [" upon", " a", " time"]
    assert not {each.id for each in copy.messages} & {each.id for each in old.messages}


def test_messages_in_another_order_find_their_parents(story: Store) -> None:
    data = json.loads(to_json(story, "s"))
    data["messages"].reverse()
    with Store() as other:
        from_json(other, json.dumps(data))
        assert other.chat("s").path() == story.chat("s").path()


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "x", '{"format": "playground chat"}', "[" * 100_000])
def test_what_is_no_export_is_refused(store: Store, text: str) -> None:
    with pytest.raises(DataError) as caught:
        from_json(store, text)
    assert caught.value.hint


def test_a_newer_export_is_refused(story: Store) -> None:
    data = json.loads(to_json(story, "s")) | {"version": 2}
    with pytest.raises(DataError, match="newer"):
        from_json(story, json.dumps(data))


def test_a_spoiled_export_comes_in_whole_or_not_at_all(story: Store) -> None:
    rng = random.Random(5)
    text = to_json(story, "s")
    odd = [None, [], {}, "x", -1, 1e400, 2**70, True, [None], "\ud83e"]

    def spoil(value: object) -> object:
        """The same with one thing in it replaced or removed."""
        if isinstance(value, (dict, list)) and value and rng.random() < 0.9:
            key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
            if rng.random() < 0.1:
                del value[key]
            else:
                value[key] = spoil(value[key])
            return value
        return rng.choice(odd)

    refused = 0
    with Store() as other:
        for _ in range(300):
            data = spoil(json.loads(text))
            try:
                from_json(other, json.dumps(data))
            except PlaygroundError:
                refused += 1
                assert other.sessions() == []
            else:
                (only,) = other.sessions()
                to_markdown(other.chat(only.id))
                to_json(other, only.id)
                other.delete_session(only.id)
                assert other.purge_deleted(math.inf) == 1
    assert refused > 30


def test_what_was_still_streaming_is_interrupted_where_it_comes_in(story: Store) -> None:
    story.add_message(dataclasses.replace(reply("a3", "", "q"), state="streaming"))
    with Store() as other:
        from_json(other, to_json(story, "s"))
        assert other.message("a3").state == "interrupted"
        assert other.generation("g3").state == "interrupted"
