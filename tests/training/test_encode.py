"""What is trained: the template's own rendering, loss on the answers alone, nothing seen across packed rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.errors import DataError, SettingError
from playground.paths import resources
from playground.protocol import ChatMessage
from playground.template import Job, render_all
from playground.training.encode import IGNORED, Encoded, EncodeSettings, collate, encode_all, encode_row, encode_text, pack
from playground.training.rows import Message, Row, conversation
from playground.workers.folder_tokenizer import FolderTokenizer

TALK = conversation(
    "What is the opposite of big?",
    "The opposite of big is small.",
    "And of hot? 🐸",
    "Cold! Ærøskøbing\n\nis  cold.",
    system="You are Pip.",
)

STARTER = (resources() / "starter" / "chat_template.jinja").read_text(encoding="utf-8")
CHATML = (
    "{{- bos_token }}{%- for m in messages %}\n"
    "    {%- if m.role == 'assistant' %}{{- '<|im_start|>assistant\\n' }}{GEN}{{- m.content + '<|im_end|>' }}{END}{{- '\\n' }}\n"
    "    {%- else %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endif %}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"
)
LLAMA3 = (
    "{% for m in messages %}{% set head = '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' %}"
    "{% if loop.index0 == 0 %}{% set head = bos_token + head %}{% endif %}"
    "{{ head }}{% if m.role == 'assistant' %}{GEN}{{ m['content'] | trim + '<|eot_id|>' }}{END}"
    "{% else %}{{ m['content'] | trim + '<|eot_id|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% elif m.role == 'user' %}"
    "{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
THINKING = (  # as Qwen 3: thoughts of earlier turns are taken out, the last turn gets an empty thought
    "{% for m in messages %}{% if m.role == 'assistant' %}{% set said = m.content.split('</think>')[-1].lstrip('\\n') %}"
    "{{ '<|im_start|>assistant\\n' }}{% if loop.last %}{{ '<think>\\n' + (m.content.split('</think>')[0].split('<think>')[-1].strip()"
    " if '</think>' in m.content else '') + '\\n</think>\\n\\n' }}{% endif %}{{ said + '<|im_end|>\\n' }}"
    "{% else %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def marked(template: str) -> str:
    return template.replace("{GEN}", "{% generation %}").replace("{END}", "{% endgeneration %}")


def plain(template: str) -> str:
    return template.replace("{GEN}", "").replace("{END}", "").replace("{% generation %}", "").replace("{% endgeneration %}", "")


def learned(encoded: Encoded) -> str:
    """The text that carries loss, a bar between stretches."""
    text, before = "", False
    for piece, label in zip(encoded.pieces, encoded.labels, strict=True):
        carries = label != IGNORED
        text += ("|" if carries and not before and text else "") + (piece if carries else "")
        before = carries
    return text


def rendering(row: Row, template: str | None, tokenizer: FolderTokenizer) -> str:
    messages = tuple(ChatMessage(each.role, each.content) for each in row.messages)
    return render_all(template, [Job(messages, open_reply=False)], tokenizer.marks.bos, tokenizer.marks.eos)[0]


@pytest.mark.parametrize("family", ["starter", "chatml", "llama3"])
def test_ids_and_mask_are_those_of_transformers(family: str, llama3_folder: Path) -> None:
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer
    from transformers.utils.chat_template_utils import render_jinja_template  # its tokenizers bring torch along

    folder = llama3_folder if family == "llama3" else resources() / "starter"
    template = {"starter": STARTER, "chatml": CHATML, "llama3": LLAMA3}[family]
    tokenizer = FolderTokenizer(folder)
    (rendered,), (stretches,) = render_jinja_template(
        [[{"role": each.role, "content": each.content} for each in TALK.messages]],
        chat_template=marked(template),
        return_assistant_tokens_mask=True,
        bos_token=tokenizer.marks.bos,
        eos_token=tokenizer.marks.eos,
    )
    theirs = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(rendered, add_special_tokens=False)
    mask = [0] * len(theirs.ids)
    for begin, end in stretches:  # as apply_chat_template goes from characters to tokens
        first, last = theirs.char_to_token(begin), theirs.char_to_token(end - 1)
        mask[first : last + 1] = [1] * (last + 1 - first)
    assert sum(mask) and not all(mask)
    for source in (marked(template), plain(template)):  # by the template's marks, and without any
        ours = encode_row(TALK, tokenizer, source)
        assert list(ours.ids) == theirs.ids
        assert [int(label != IGNORED) for label in ours.labels] == mask
        assert all(label in (token, IGNORED) for token, label in zip(ours.ids, ours.labels, strict=True))
        assert "".join(ours.pieces) == rendering(TALK, source, tokenizer)


def test_an_answer_ends_with_what_ends_its_turn(starter_tokenizer: FolderTokenizer, llama3_folder: Path) -> None:
    said = "The opposite of big is small.", "Cold! Ærøskøbing\n\nis  cold."
    assert learned(encode_row(TALK, starter_tokenizer, STARTER)) == f"{said[0]}<|im_end|>|{said[1]}<|im_end|>"
    assert learned(encode_row(TALK, starter_tokenizer, MISTRAL)) == f" {said[0]}<|im_end|>| {said[1]}<|im_end|>"
    llama3 = FolderTokenizer(llama3_folder)
    assert learned(encode_row(TALK, llama3, plain(LLAMA3))) == f"{said[0]}<|eot_id|>|{said[1]}<|eot_id|>"
    # without a template, and with one that ends nothing: the end of the text is put there
    assert learned(encode_row(TALK, llama3, None)) == f" {said[0]}\n| {said[1]}<|end_of_text|>"


def test_a_template_that_rewrites_answers_is_learned_where_it_is_certain(starter_tokenizer: FolderTokenizer) -> None:
    plainly = encode_row(TALK, starter_tokenizer, THINKING)
    assert learned(plainly).endswith("|<think>\n\n</think>\n\nCold! Ærøskøbing\n\nis  cold.<|im_end|>")
    thought = conversation("Hi", "<think>hm</think>Hello.", "2?", "<think>two</think>\n\nTwo.")
    assert learned(encode_row(thought, starter_tokenizer, THINKING)) == "<think>\ntwo\n</think>\n\nTwo.<|im_end|>"


def test_tools_are_told_as_the_person_where_the_template_has_no_place_for_them(starter_tokenizer: FolderTokenizer) -> None:
    row = Row(
        (Message("user", "Time?"), Message("assistant", "clock()"), Message("tool", "12:00"), Message("assistant", "Noon."))
    )
    with_tools = encode_row(row, starter_tokenizer, STARTER)
    assert "<|im_start|>tool\n12:00" in "".join(with_tools.pieces)
    without = (
        "{% for m in messages if m.role in ('user', 'assistant') %}[{{ m.role }}]{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    folded = encode_row(row, starter_tokenizer, without)
    assert "".join(folded.pieces) == "[user]Time?[assistant]clock()[user]12:00[assistant]Noon.<|im_end|>"
    assert learned(folded) == "clock()|Noon.<|im_end|>"


def test_what_carries_loss_can_be_chosen(starter_tokenizer: FolderTokenizer) -> None:
    last = encode_row(TALK, starter_tokenizer, STARTER, EncodeSettings(loss="last answer"))
    assert learned(last) == "Cold! Ærøskøbing\n\nis  cold.<|im_end|>"
    everything = encode_row(TALK, starter_tokenizer, STARTER, EncodeSettings(loss="everything"))
    assert everything.learned == len(everything) - 1 and everything.labels[0] == IGNORED
    quiet = Row((*TALK.messages[:2], Message("assistant", "No.", loss=False), *TALK.messages[3:]))
    assert learned(encode_row(quiet, starter_tokenizer, STARTER)) == "Cold! Ærøskøbing\n\nis  cold.<|im_end|>"


ALPACA = "Do as told.\n\n### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n{response}"


def test_templates_for_base_models(starter_tokenizer: FolderTokenizer) -> None:
    settings = EncodeSettings(prompt_template=ALPACA)
    row = Row((Message("user", "Turn round.\n\na b {input}"), Message("assistant", "b a {response}")), input="a b {input}")
    encoded = encode_row(row, starter_tokenizer, STARTER, settings)
    assert "".join(encoded.pieces) == (
        "Do as told.\n\n### Instruction:\nTurn round.\n\n### Input:\na b {input}\n\n### Response:\nb a {response}<|im_end|>"
    )
    assert learned(encoded) == "b a {response}<|im_end|>"
    bare = encode_row(conversation("Hi", "Hello."), starter_tokenizer, None, settings)
    assert "Input" not in "".join(bare.pieces) and learned(bare) == "Hello.<|im_end|>"
    for wrong in ("{instruction}", "{response}{instruction}", "{response}", "{instruction}{response}{response}"):
        with pytest.raises(SettingError, match="template must have"):
            EncodeSettings(prompt_template=wrong)


def test_an_answer_that_a_space_joins_to_is_learned(starter_tokenizer: FolderTokenizer) -> None:
    encoded = encode_row(
        conversation("Hi", "Hello"), starter_tokenizer, None, EncodeSettings(prompt_template="{instruction} {response}")
    )
    assert learned(encoded).strip() == "Hello<|im_end|>"


def test_a_row_that_is_cut_says_by_how_much_and_never_loses_its_whole_answer(starter_tokenizer: FolderTokenizer) -> None:
    whole = encode_row(TALK, starter_tokenizer, STARTER)
    cut = encode_row(TALK, starter_tokenizer, STARTER, EncodeSettings(max_tokens=len(whole) - 3))
    assert cut.ids == whole.ids[:-3] and cut.labels == whole.labels[:-3] and cut.cut == 3
    start = encode_row(TALK, starter_tokenizer, STARTER, EncodeSettings(max_tokens=16, truncation="start"))
    assert (
        start.ids == (whole.ids[0], *whole.ids[-15:])
        and start.labels[1:] == whole.labels[-15:]
        and start.cut == len(whole) - 16
    )
    with pytest.raises(DataError, match=r"Row 7: its answer would be cut off wholly at 16 tokens") as refused:
        encode_row(Row(TALK.messages, number=7), starter_tokenizer, STARTER, EncodeSettings(max_tokens=16))
    assert str(len(whole)) in refused.value.hint
    with pytest.raises(DataError, match="3 tokens too long"):
        encode_row(TALK, starter_tokenizer, STARTER, EncodeSettings(max_tokens=len(whole) - 3, truncation="skip"))


@pytest.mark.parametrize("answer", ["", "  \n"])
def test_nothing_to_learn_is_refused_by_name(starter_tokenizer: FolderTokenizer, answer: str) -> None:
    for template in (STARTER, plain(CHATML), None):
        with pytest.raises(DataError, match="Row 3"):
            encode_row(conversation("Hi", answer, number=3), starter_tokenizer, template)


def test_a_template_that_refuses_names_the_row(starter_tokenizer: FolderTokenizer) -> None:
    with pytest.raises(DataError, match=r"Row 5.*alternate"):
        encode_row(conversation("a", "b", number=5), starter_tokenizer, "{{ raise_exception('Roles must alternate') }}")
    with pytest.raises(DataError, match="does not show the answer"):
        encode_row(conversation("a", "b", number=5), starter_tokenizer, "{{ messages | length }}")


def test_a_long_text_is_learned_whole_each_token_once(starter_tokenizer: FolderTokenizer) -> None:
    text = Row(text="Once upon a time there was a frog. " * 20)
    settings = EncodeSettings(max_tokens=32)
    whole = encode_row(text, starter_tokenizer, STARTER, EncodeSettings(max_tokens=4096))
    parts = encode_text(text, starter_tokenizer, STARTER, settings)
    assert [label for part in parts for label in part.labels[1:]] == list(whole.labels[1:])
    assert all(len(part) <= 32 and part.labels[0] == IGNORED for part in parts)


def test_rows_that_cannot_be_learned_from_are_told_of_and_left_out(starter_tokenizer: FolderTokenizer) -> None:
    rows = [conversation("Hi", "Hello."), conversation("Hi", ""), conversation("Bye", "Bye.")]
    told: list[str] = []
    found = list(encode_all(rows, starter_tokenizer, STARTER, skipped=lambda row, error: told.append(error.message)))
    assert len(found) == 2 and len(told) == 1 and not found[0].pieces
    with pytest.raises(DataError):
        list(encode_all(rows, starter_tokenizer, STARTER))


rows_of_tokens = st.lists(
    st.integers(1, 12).map(lambda n: Encoded(tuple(range(1, n + 1)), (IGNORED, *range(2, n + 1)))), min_size=1
)


@given(rows_of_tokens, st.integers(12, 40))
def test_packing_keeps_every_row_whole(rows: list[Encoded], room: int) -> None:
    packed = pack(rows, room)
    assert all(len(each) <= room for each in packed)
    assert sum(len(each) for each in packed) == sum(len(each) for each in rows)
    again = []
    for each in packed:
        starts = [place for place, position in enumerate(each.positions) if position == 0]
        again += [each.ids[begin:end] for begin, end in zip(starts, [*starts[1:], len(each)], strict=True)]
        assert all(each.labels[start] == IGNORED for start in starts)
    assert sorted(again) == sorted(each.ids for each in rows)


@given(rows_of_tokens, st.sampled_from([1, 8]))
def test_a_batch_is_the_rows_filled_up(rows: list[Encoded], multiple: int) -> None:
    arrays = collate(rows, pad_id=0, multiple=multiple)
    width = arrays["input_ids"].shape[1]
    assert width % multiple == 0 and set(arrays) == {"input_ids", "labels", "attention_mask"}
    for place, row in enumerate(rows):
        shown = arrays["attention_mask"][place].astype(bool)
        assert tuple(arrays["input_ids"][place][shown]) == row.ids and tuple(arrays["labels"][place][shown]) == row.labels
        assert np.all(arrays["labels"][place][~shown] == IGNORED) and np.all(arrays["input_ids"][place][~shown] == 0)
    packed = collate(pack(rows, 40), pad_id=0)
    assert np.all((packed["position_ids"] == 0).sum(axis=1) >= 1)


said = st.text(max_size=12) | st.sampled_from(
    ["<|im_end|>", " a ", "\n\nb", "</think>", "[/INST]", "{input}", "\ud800", "e\u0301", "\u200d"]
)


@settings(deadline=None, max_examples=60)
@given(st.lists(said, min_size=2, max_size=6).filter(lambda turns: any(turn.strip() for turn in turns[1::2])), said)
def test_whatever_is_said_the_pieces_are_the_rendering_and_every_answer_is_in_them(
    starter_tokenizer: FolderTokenizer, turns: list[str], system: str
) -> None:
    row = conversation(*turns[: len(turns) // 2 * 2], system=system)
    for template in (STARTER, plain(CHATML), plain(LLAMA3), MISTRAL, None):
        try:
            encoded = encode_row(row, starter_tokenizer, template, EncodeSettings(max_tokens=4096))
        except DataError:
            assert not all(answer.strip() for answer in row.answers)
            continue
        text = "".join(encoded.pieces)
        assert len(encoded.pieces) == len(encoded.ids) == len(encoded.labels)
        for answer in row.answers:
            assert answer.strip().encode("utf-8", "replace").decode("utf-8") in text or not answer.strip()
            assert answer.strip().encode("utf-8", "replace").decode("utf-8") in learned(encoded)
