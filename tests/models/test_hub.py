"""Asking the hub: search, a model's page, headers by range, and a sentence for everything that can go wrong."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from playground.errors import GatedError, HubError, ModelFileError, NotFoundError, OfflineError, PlaygroundError
from playground.models import hub_client
from playground.models import token as tokens
from playground.models.hub import Hub, Query, recommended
from tests.loopback_hub import LoopbackHub
from tests.models.tiny import write_gguf

REPO = "acme/tiny-GGUF"


@pytest.fixture
def models(hub: LoopbackHub, tmp_path: Path) -> LoopbackHub:
    data = write_gguf(tmp_path / "made.gguf", weights=64)
    hub.add(
        REPO,
        {"tiny-Q4_K_M.gguf": data, "tiny-Q8_0.gguf": data + bytes(32), "README.md": b"---\na: b\n---\n# Tiny\n"},
        downloads=9,
    )
    hub.add(
        "acme/big",
        {"model.safetensors": b"x", "config.json": b"{}"},
        downloads=99,
        licence="mit",
        modified="2026-05-05T00:00:00.000Z",
    )
    hub.add("acme/locked-GGUF", {"a.gguf": data}, gated="manual", likes=7)
    return hub


def names(query: Query) -> list[str]:
    return [row.repo for row in Hub().search(query).more()]


def test_search_filters_and_sorts(models: LoopbackHub) -> None:
    assert names(Query()) == ["acme/big", REPO, "acme/locked-GGUF"]
    assert names(Query("TINY")) == [REPO]
    assert names(Query(formats=("gguf",), gated=False)) == [REPO]
    assert names(Query(licence="mit")) == ["acme/big"]
    assert names(Query(sort="likes"))[0] == "acme/locked-GGUF"
    assert names(Query(sort="recent"))[0] == "acme/big"
    assert names(Query("nothing like it")) == []


def test_search_goes_on_page_by_page(hub: LoopbackHub) -> None:
    for number in range(70):
        hub.add(f"acme/m{number:02}", {"a.gguf": b"x"}, downloads=1000 - number)
    search = Hub().search(Query("m"))
    first, second, third = search.more(30), search.more(30), search.more(30)
    assert [row.repo for row in (*first, *second, *third)] == [f"acme/m{number:02}" for number in range(70)]
    assert search.ended
    assert sum(asked.path == "/api/models" for asked in hub.log) == 3


def test_sizes_are_held_against_the_answer_too(hub: LoopbackHub) -> None:
    hub.add("acme/small", {"a.gguf": b"x"}, parameters=10**9)
    hub.add("acme/large", {"a.gguf": b"x"}, parameters=7 * 10**9)
    assert names(Query(largest=2 * 10**9)) == ["acme/small"]
    assert names(Query(smallest=2 * 10**9)) == ["acme/large"]


def test_a_page_has_choices_card_and_a_recommendation(models: LoopbackHub) -> None:
    page = Hub().model(REPO)
    assert [(each.label, each.kind) for each in page.choices] == [("Q8_0", "gguf"), ("Q4_K_M", "gguf")]
    assert page.choices[0].files[0].sha256 == models.repos[REPO].etag("tiny-Q8_0.gguf")
    assert page.access == "open"
    assert Hub().card(REPO) == "# Tiny"
    assert Hub().card("acme/big") == ""
    assert recommended(page, lambda choice: "fits").choice == page.choices[0]
    chosen = recommended(page, lambda choice: "fits" if choice.label == "Q4_K_M" else "partly on CPU")
    assert chosen.choice == page.choices[1]
    assert "fits" in chosen.why
    assert recommended(page, lambda choice: "no").choice is None
    assert Hub().model(models.url + "/" + REPO).repo == REPO


def test_a_gated_model_asks_for_a_token(models: LoopbackHub) -> None:
    assert Hub().model("acme/locked-GGUF").access == "gated"
    with pytest.raises(GatedError, match="gated"):
        Hub().gguf_header("acme/locked-GGUF", "a.gguf")
    models.tokens["hf_good"] = "someone"
    tokens.save("hf_good")
    assert Hub().model("acme/locked-GGUF").access == "granted"
    assert Hub().gguf_header("acme/locked-GGUF", "a.gguf").architecture == "llama"
    assert Hub().who() == "someone"
    tokens.save("hf_bad")
    with pytest.raises(GatedError, match="token"):
        Hub().who()


def test_the_token_stays_at_the_hub(models: LoopbackHub) -> None:
    """Large files come from another host: it must not see the token."""
    models.tokens["hf_good"] = "someone"
    tokens.save("hf_good")
    Hub().gguf_header(REPO, "tiny-Q4_K_M.gguf")
    assert {asked.token for asked in models.log if asked.host.startswith("localhost")} == {""}
    assert "hf_good" in {asked.token for asked in models.log if asked.host.startswith("127.")}


@pytest.mark.parametrize(("vocabulary", "redirect"), [(300, True), (50_000, True), (50_000, False)])
def test_a_header_is_read_without_the_weights(hub: LoopbackHub, tmp_path: Path, vocabulary: int, redirect: bool) -> None:
    hub.faults.redirect = redirect
    data = write_gguf(tmp_path / "made.gguf", vocabulary=vocabulary, weights=50_000)
    hub.add(REPO, {"m.gguf": data})
    header = Hub().gguf_header(REPO, "m.gguf")
    assert header.count("tokenizer.ggml.tokens") == vocabulary
    read = hub.sent("m.gguf")
    assert read <= header.data_offset + max(1 << 16, header.data_offset // 3)
    assert read < len(data) / 2


def test_a_damaged_header_on_the_hub_is_a_sentence(hub: LoopbackHub) -> None:
    hub.add(REPO, {"bad.gguf": b"GGUF\x03\0\0\0" + b"\xff" * 64, "none.gguf": b"", "not.gguf": b"<html>" * 100})
    for name in ("bad.gguf", "none.gguf", "not.gguf"):
        with pytest.raises(ModelFileError):
            Hub().gguf_header(REPO, name)


def ask_everything(error: type[PlaygroundError], words: str = "") -> None:
    """Every question ends in this error, and says so in one line without the innards of libraries."""
    for question in (
        lambda: names(Query("x")),
        lambda: Hub().model(REPO),
        lambda: Hub().card(REPO),
        lambda: Hub().gguf_header(REPO, "tiny-Q4_K_M.gguf"),
    ):
        with pytest.raises(error, match=words) as caught:
            question()
        assert caught.value.message.endswith(".")
        assert "\n" not in str(caught.value)
        assert "httpx" not in str(caught.value).lower()


@pytest.mark.parametrize(("answer", "words"), [("500", "500"), ("503", "503"), ("nothing", "closed the connection")])
def test_a_hub_in_trouble(models: LoopbackHub, answer: str, words: str) -> None:
    models.faults.answer = answer
    ask_everything(HubError, words)


def test_a_hub_that_answers_with_a_web_page(models: LoopbackHub) -> None:
    models.faults.answer = "html"
    with pytest.raises(HubError, match="makes no sense"):
        names(Query("x"))
    with pytest.raises(HubError, match="makes no sense"):
        Hub().model(REPO)


def test_a_web_page_is_no_damaged_model(models: LoopbackHub) -> None:
    models.faults.answer = "html"
    with pytest.raises(HubError, match="makes no sense"):
        Hub().gguf_header(REPO, "tiny-Q4_K_M.gguf")


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        ask_everything(OfflineError, "refused")  # while nobody else can have the port


def test_a_name_that_cannot_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://no-such-hub.invalid")
    ask_everything(OfflineError, "name cannot be found")


def test_a_hub_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_client, "READ_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        ask_everything(OfflineError, "does not answer")


def test_what_is_not_there(models: LoopbackHub) -> None:
    for question in (
        lambda: Hub().model("acme/nobody"),
        lambda: Hub().model(REPO, "no-such-revision"),
        lambda: Hub().gguf_header(REPO, "absent.gguf"),
        lambda: Hub().model("not a name"),
        lambda: Hub().model("../../etc"),
    ):
        with pytest.raises(NotFoundError):
            question()


def test_nothing_is_asked_before_a_question(hub: LoopbackHub) -> None:
    Hub().search(Query("x"))
    assert hub.log == []
