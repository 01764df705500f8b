"""Prompts made of an instruction, examples and a question."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from playground.decoding import prompt_drafts
from playground.decoding.prompt_drafts import READY, Draft, Example, read_examples, render, variables_of
from playground.errors import DataError

TONE = Draft(
    "Tone",
    "Is it {labels}?",
    "Text: {input}",
    "Tone: {output}",
    (Example("bad {labels}", "low"), Example("good", "high")),
    query="so so",
    variables={"labels": "high or low"},
)


def test_chat_turns_put_every_example_into_a_turn_of_its_own() -> None:
    found = render(TONE)
    assert found.system == "Is it high or low?"
    assert found.turns == (("Text: bad {labels}", "Tone: low"), ("Text: good", "Tone: high"))
    assert (found.prompt, found.reply_start, found.missing) == ("Text: so so", "", ())


def test_one_text_ends_where_the_answer_begins() -> None:
    found = render(replace(TONE, as_turns=False, cue="Think."))
    assert found.prompt == (
        "Is it high or low?\n\nText: bad {labels}\nTone: low\n\nText: good\nTone: high\n\nText: so so\nTone:\nThink."
    )
    assert (found.system, found.turns, found.reply_start) == ("", (), "")


@pytest.mark.parametrize(("shots", "turns"), [(0, 0), (1, 1), (9, 2), (-1, 2)])
def test_zero_one_and_few_shots(shots: int, turns: int) -> None:
    assert len(render(replace(TONE, shots=shots)).turns) == turns
    assert render(replace(TONE, shots=shots, as_turns=False)).prompt.count("Text:") == turns + 1


def test_the_cue_begins_the_reply_and_so_does_the_pattern_where_no_example_shows_it() -> None:
    assert render(replace(TONE, cue="Think, {labels}.")).reply_start == "Think, high or low. "
    assert render(replace(TONE, shots=0)).reply_start == "Tone: "


def test_variables_are_found_and_what_has_no_value_stays_and_is_named() -> None:
    draft = Draft(instruction='{a} {{"k": {b}}} {a} {1}', query="{c}", variables={"b": "2"})
    assert variables_of(draft) == ("a", "b", "c")
    found = render(draft)
    assert found.system == '{a} {"k": 2} {a} {1}' and found.prompt == "{c}" and found.missing == ("a", "c")


def test_examples_come_from_pasted_rows_and_csv() -> None:
    assert read_examples("one\teins\ntwo\tzwei\n") == (Example("one", "eins"), Example("two", "zwei"))
    assert read_examples('Input,Output\n"a, b",c\n') == (Example("a, b", "c"),)
    assert read_examples("a;b\nc;d") == (Example("a", "b"), Example("c", "d"))
    for wrong, said in (
        ("only one", "Row 1 has 1"),
        ("a,b\nc,d,e", "Row 2 has 3"),
        ("  \n", "no example"),
        ("input,output", "no example"),
    ):
        with pytest.raises(DataError, match=said):
            read_examples(wrong)


def test_a_draft_is_kept_and_nonsense_in_its_place_is_passed_over() -> None:
    for draft in (*READY, TONE):
        assert prompt_drafts.from_dict(json.loads(json.dumps(prompt_drafts.to_dict(draft)))) == draft
    odd = {"title": 7, "examples": [["a", "b"], "c", 1], "shots": "2", "unknown": 1, "variables": [1]}
    assert prompt_drafts.from_dict(odd) == Draft(examples=(Example("a", "b"),))


@pytest.mark.parametrize("draft", READY, ids=lambda draft: draft.title)
def test_ready_made_ones_are_whole(draft: Draft) -> None:
    for form in (True, False):
        found = render(replace(draft, as_turns=form))
        assert not found.missing and draft.query in found.text
        assert all(each.output in found.text for each in draft.examples)
