"""Beam search of both engines against transformers' own, and against the model's own word on what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from playground import protocol
from playground.errors import SettingError
from playground.params import BeamSettings
from playground.paths import starter
from tests.models_made import random_model
from tests.workers.conftest import Engines, Libraries
from tests.workers.talk import PATIENCE, Talk, greedy

PROMPTS = (
    "Once upon a time",
    "<|user|>\nRepeat: red green blue\n<|assistant|>\n",
    "Why is the sky blue?",
    "The teacher said that",
)
OPTIONS: tuple[dict[str, Any], ...] = (
    {"num_beams": 4, "max_new_tokens": 16, "length_penalty": 1.0, "early_stopping": False},
    {"num_beams": 4, "max_new_tokens": 40, "length_penalty": 0.0, "early_stopping": False},
    {"num_beams": 3, "max_new_tokens": 40, "length_penalty": 1.0, "early_stopping": True},
    {"num_beams": 2, "max_new_tokens": 24, "length_penalty": 2.0, "early_stopping": "never"},
)
STOPPING = {False: "off", True: "on", "never": "never"}


@pytest.fixture(scope="module")
def independent(engines: Engines, libraries: Libraries) -> list[dict[str, Any]]:
    """transformers' own, in f32: each search with what it found."""
    searches = [{"prompt": prompt, "options": each} for prompt in PROMPTS for each in OPTIONS]
    printed = libraries.program(Path(__file__).with_name("independent_beam.py"), starter().parent, said=searches)
    engines.talk("transformers", starter().parent, precision="f32")  # imports its libraries meanwhile
    return [{**search, **found} for search, found in zip(searches, printed(), strict=True)]


def beams(talk: Talk, settings: BeamSettings, cancel_at: int = 0, **more: Any) -> tuple[protocol.BeamsFound, list[Any]]:
    """What was found, and the steps on the way."""
    request = talk.number()
    talk.send(protocol.Beam(request, settings, **more))
    steps: list[protocol.BeamStep] = []
    while not isinstance(event := talk.next(), protocol.BeamsFound):
        if isinstance(event, protocol.Failed):
            raise SettingError(event.message, event.hint)
        if isinstance(event, protocol.BeamStep):
            steps.append(event)
            if event.step == cancel_at:
                talk.send(protocol.Cancel(request))
    finished = talk.until(protocol.Finished)
    assert finished.outcome == ("cancelled" if event.why == "cancelled" else "done")
    return event, steps


def test_all_beams_are_those_of_transformers(talking: Talk, independent: list[dict[str, Any]]) -> None:
    ended = 0
    for each in independent:
        options = each["options"]
        settings = BeamSettings(
            options["num_beams"],
            options["max_new_tokens"],
            options["length_penalty"],
            STOPPING[options["early_stopping"]],  # type: ignore[arg-type]
        )
        found, _ = beams(talking, settings, prompt_ids=tuple(each["prompt"]))
        assert [list(beam.token_ids) for beam in found.beams] == [ids for ids, _ in each["beams"]]
        assert [beam.score for beam in found.beams] == pytest.approx([score for _, score in each["beams"]], abs=1e-4)
        assert found.arithmetic == "f32"
        ended += sum(beam.reason == "end" for beam in found.beams)
    assert ended > 10, "ends are among what is compared"


def test_the_tree_is_what_was_found(talking: Talk) -> None:
    found, steps = beams(talking, BeamSettings(width=4, max_tokens=12), text="The fox")
    nodes = {node.id: node for step in steps for node in step.nodes}
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))
    for beam in found.beams:
        path, at = [], beam.node
        while at >= 0:
            path.append(nodes[at])
            at = nodes[at].parent
        assert tuple(node.token_id for node in reversed(path)) == beam.token_ids
        assert nodes[beam.node].state in ("ended", "cut")
        assert sum(beam.logprobs) == pytest.approx(beam.total, abs=1e-9)


def test_each_beam_is_worth_what_the_model_says_of_its_text(engines: Engines) -> None:
    """Sequences that were copied and copied again hold what they should: the engine's own arithmetic, one text at a time."""
    talk = engines.talk("llama.cpp", starter())
    prompt = talk_ids(talk, "Once upon a time")
    found, _ = beams(talk, BeamSettings(width=8, max_tokens=20, arithmetic="engine"), prompt_ids=prompt)
    assert found.arithmetic == "engine" and len(found.beams) == 8
    for beam in found.beams:
        request = talk.number()
        talk.send(protocol.Score(request, prompt_ids=(*prompt, *beam.token_ids), alternatives=0))
        scored = talk.until(protocol.Scored)
        mine = [each.logprob for each in scored.tokens[len(prompt) :]]
        assert mine == pytest.approx(list(beam.logprobs), abs=0.1)
        assert sum(mine) == pytest.approx(beam.total, abs=0.2)


def talk_ids(talk: Talk, text: str) -> tuple[int, ...]:
    talk.send(protocol.Tokenize(talk.number(), text=text))
    return tuple(each.token_id for each in talk.until(protocol.Tokenized).tokens)


@pytest.mark.parametrize("arithmetic", ["engine", "auto"])
def test_a_chat_goes_on_as_if_nothing_had_been_searched(talking: Talk, arithmetic: Any) -> None:
    before = talking.generate(greedy(), text="The boat")
    beams(talking, BeamSettings(width=4, max_tokens=6, arithmetic=arithmetic), text="The boat")
    after = talking.generate(greedy(), text="The boat")
    assert after.ids() == before.ids()


def test_one_beam_is_greedy_decoding(talking: Talk) -> None:
    wanted = talking.generate(greedy(10), text="The river").ids()
    found, _ = beams(talking, BeamSettings(width=1, max_tokens=10, arithmetic="engine"), text="The river")
    assert list(found.beams[0].token_ids)[: len(wanted)] == wanted


def test_stopped_it_gives_back_what_had_ended(talking: Talk) -> None:
    found, steps = beams(
        talking, BeamSettings(width=8, max_tokens=512, length_penalty=2.0, early_stopping="never"), cancel_at=2, text="Once"
    )
    assert found.why == "cancelled" and len(steps) < 512


def test_more_beams_than_sequences_are_refused(talking: Talk) -> None:
    with pytest.raises(SettingError, match="9 beams"):
        beams(talking, BeamSettings(width=9), text="Once")


def test_a_full_window_ends_the_beams_where_they_are(engines: Engines) -> None:
    talk = engines.talk("llama.cpp", starter(), context=256, sequences=4)
    prompt = tuple(talk_ids(talk, "one two three four " * 80)[:250])
    found, _ = beams(talk, BeamSettings(width=2, max_tokens=40, length_penalty=0.0), prompt_ids=prompt)
    assert all(len(beam.token_ids) <= 7 for beam in found.beams)
    assert found.why == "context" or all(beam.reason == "end" for beam in found.beams)


def test_quantized_weights_are_taken_as_they_are_unless_told_otherwise(
    engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = random_model(tmp_path / "random-Q8_0.gguf", "Q8_0")
    talk = engines.talk("llama.cpp", path)
    found, _ = beams(talk, BeamSettings(width=4, max_tokens=5), prompt_ids=(5, 6, 7))
    assert found.arithmetic == "engine"
    exact, _ = beams(talk, BeamSettings(width=4, max_tokens=5, arithmetic="f32"), prompt_ids=(5, 6, 7))
    assert exact.arithmetic == "f32" and len(exact.beams) == 4


def test_the_copy_in_f32_goes_when_its_worker_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_CACHE", str(tmp_path))
    left = tmp_path / "exact" / "999999999-left.gguf"
    left.parent.mkdir()
    left.write_bytes(b"of a process that was killed")
    talk = Talk()
    talk.load(starter())
    assert not left.exists()
    beams(talk, BeamSettings(width=2, max_tokens=2), text="Once")
    assert len(list(left.parent.iterdir())) == 1
    talk.worker.stop(PATIENCE)
    assert not list(left.parent.iterdir())
