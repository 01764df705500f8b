"""What the database keeps of comparisons: columns, votes, sets of prompts and one result for each cell."""

from __future__ import annotations

import math
import sqlite3

import pytest

from playground.history.export import from_json, to_json, to_markdown
from playground.history.records import Column, PromptRow, ResultRow, VoteRow
from playground.history.store import Store
from playground.params import SamplingSettings
from tests.history.chats import generation, message, reply, session, tokens

COLUMNS = (
    Column("c1", SamplingSettings(temperature=0.0), label="cold"),
    Column("c2", SamplingSettings(temperature=1.5, stop=("\n",)), "Once", "hot", "/other.gguf"),
)


@pytest.fixture
def compared(store: Store) -> Store:
    store.add_session(session(kind="compare", columns=COLUMNS, prompt="Tell me", tip="q"))
    store.add_message(message("q", "Tell me"))
    for place, column in enumerate(COLUMNS):
        name = f"m{place}"
        store.add_message(reply(name, f"Reply {place}", "q"))
        made = generation(f"g{place}", name, state="end", group_id="group", sequence=place, column_id=column.id, shared=3)
        store.add_generation(made)
        store.append_tokens(made.id, tokens("Reply", f" {place}"))
    return store


def test_a_comparison_is_no_chat_and_has_its_columns(compared: Store) -> None:
    compared.add_session(session("t"))
    assert [each.id for each in compared.sessions()] == ["t"]
    (found,) = compared.sessions(kind="compare")
    assert found.columns == COLUMNS and found.prompt == "Tell me"
    assert [(row.sequence, row.column_id, row.shared) for row in compared.group("group")] == [(0, "c1", 3), (1, "c2", 3)]
    assert compared.group("") == []


def test_columns_that_another_version_wrote(compared: Store) -> None:
    compared._run(
        "UPDATE sessions SET columns = ? WHERE id = 's'",
        ['[{"id": "a", "settings": {"temperature": 99, "top_k": 7}, "reply_start": 5, "new": 1}, 3, {"settings": {}}]'],
    )
    (found,) = compared.session("s").columns
    assert found == Column("a", SamplingSettings(top_k=7))


def test_the_latest_replies_are_those_to_the_prompt_at_the_tip(compared: Store) -> None:
    compared.add_message(reply("again", "Newer", "q"))
    compared.add_generation(generation("g9", "again", column_id="c1", state="end"))
    assert [(column.id, each.content) for column, each in compared.chat("s").latest()] == [("c1", "Newer"), ("c2", "Reply 1")]
    compared.add_message(message("q2", "Something else"))
    compared.update_session("s", tip="q2")
    assert compared.chat("s").latest() == ()


def test_a_comparison_leaves_and_comes_back_whole(compared: Store) -> None:
    compared.replace_votes(["m0", "m1"], [VoteRow("v", "s", "m1", "m0", created=2.0, note="blind")])
    compared.add_prompts("s", [PromptRow(0, "one", more={"id": 7}), PromptRow(1, "two", "Be brief.")])
    compared.put_result("s", ResultRow(0, "c1", "end", "said", (1, 2), 3, 4, 2, -0.5, math.nan, 0.1, "", 5.0))
    text = to_json(compared, "s")
    assert "## cold\n\nReply 0" in to_markdown(compared.chat("s")) and "## hot\n\nReply 1" in to_markdown(compared.chat("s"))
    with Store() as other:
        assert from_json(other, text) == "s"
        assert to_json(other, "s").replace(other.votes("s")[0].id, "v") == text
        copy = from_json(other, text)
        groups = {row.group_id for row in (other.generation(each.id) for each in other.generations(session_id=copy))}
        assert len(groups) == 1 and groups != {"group"}
        (vote,) = other.votes(copy)
        assert {vote.better_id, vote.worse_id} <= {each.id for each in other.messages(copy)}


def test_a_vote_takes_the_place_of_the_one_before(compared: Store) -> None:
    compared.replace_votes(["m0", "m1"], [VoteRow("v1", "s", "m1", "m0")])
    compared.replace_votes(["m0", "m1"], [VoteRow("v2", "s", "m0", "m1", "tie", note="x")])
    assert [(vote.id, vote.verdict) for vote in compared.votes("s")] == [("v2", "tie")]
    compared.replace_votes(["m0", "m1"], [])
    assert compared.votes("s") == []


def test_a_cell_has_one_result(compared: Store) -> None:
    compared.add_prompts("s", [PromptRow(number, f"p{number}") for number in range(4)])
    assert compared.prompt_count("s") == 4 and [row.index for row in compared.prompts("s", 2, 1)] == [1, 2]
    with pytest.raises(sqlite3.IntegrityError):
        compared.add_prompts("s", [PromptRow(3, "again")])
    for text in ("first", "second"):
        compared.put_result("s", ResultRow(1, "c1", "end", text))
    compared.put_result("s", ResultRow(1, "c2", "end", "other"))
    compared.put_result("s", ResultRow(2, "c2", "failed", "", error="too long"))
    assert [(row.index, row.text) for row in compared.results("s")] == [(1, "second"), (1, "other"), (2, "")]
    assert compared.result_counts("s") == {"c1": 1, "c2": 2}
    assert [row.index for row in compared.open_prompts("s", ["c1", "c2"], -1, 10)] == [0, 2, 3]
    assert [row.index for row in compared.open_prompts("s", ["c2"], 0, 1)] == [3]
    assert compared.cells_done("s", [0, 1, 2]) == {(1, "c1"), (1, "c2"), (2, "c2")}
    compared.delete_session("s")
    compared.purge_deleted(math.inf)
    assert compared.prompts("s") == [] and compared.results("s") == []
