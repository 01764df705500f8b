"""A row as the text that a model is trained on, and which stretches of it are answers.

The text is the chat template's own rendering. Where the answers lie in it is found in one of three ways, the first that is certain:
the template marks them itself (`{% generation %}`); each answer is exchanged for a word that occurs nowhere, which cuts the
rendering into its fixed parts; the conversation is rendered turn by turn. Knows texts and positions, no tokens.
"""

from __future__ import annotations

import datetime
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from playground.errors import DataError, SettingError, TemplateError
from playground.protocol import ChatMessage
from playground.template import MARK_BEGIN, MARK_END, Job, render_all
from playground.training.rows import Message, Row, instruction_of

Loss = Literal["answers", "last answer", "everything"]
Span = tuple[int, int]

_GENERATION = re.compile(r"{%[-+]?\s*generation\s*[-+]?%}")
_SLOT = re.compile(r"{(instruction|input|response|system)}")
_NONCE = secrets.token_hex(8)
DATE = datetime.datetime(2026, 1, 1)
"""what templates that write the date are told: a row must give the same tokens tomorrow"""


@dataclass(frozen=True)
class Marks:
    """What a tokenizer calls its control tokens: the beginning and the end of a text, and all of them."""

    bos: str = ""
    eos: str = ""
    specials: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Layout:
    """The text, and the stretches [from, to) of it that carry loss, in characters. `unlearned`: answers that could not be placed."""

    text: str
    spans: tuple[Span, ...]
    unlearned: int = 0


def lay_out(row: Row, template: str | None, marks: Marks, loss: Loss = "answers", prompt_template: str = "") -> Layout:
    """The text of a row. `template`: the model's, None for a model without one; `prompt_template`: for base models, used in its place.

    An answer's stretch ends with what ends its turn; where nothing does, the end-of-text token is put there, so that a tuned model stops.
    DataError if the template refuses the row or does not show its answers, SettingError for a `prompt_template` that is none.
    """
    if not row.messages:
        text = row.text + marks.eos
        return Layout(text, ((0, len(text)),) if row.text else ())
    if not row.answers:
        raise DataError(f"{_name(row)} has no answer.", "Add one, or leave the row out.")
    laid = _by_slots(row, prompt_template, marks) if prompt_template else _by_template(row, template, marks)
    if loss == "everything":
        return replace(laid, spans=((0, len(laid.text)),))
    learned = [each.loss and bool(each.content.strip()) for each in row.messages if each.role == "assistant"]
    kept = [span for span, wanted in zip(laid.spans, learned, strict=True) if wanted and span[1] > span[0]]
    return replace(laid, spans=tuple(kept[-1:] if loss == "last answer" else kept))


def _name(row: Row) -> str:
    return f"Row {row.number}" if row.number else "The row"


# -- chat templates


def _by_template(row: Row, template: str | None, marks: Marks) -> Layout:
    try:
        laid = _rendered(row.messages, template, marks)
        shown = all(each.content.strip() in laid.text for each in row.messages if each.role == "tool")
    except (TemplateError, DataError) as error:
        if not any(each.role == "tool" for each in row.messages):
            raise DataError(f"{_name(row)}: {error.message}", error.hint) from None
        shown = False
    if shown:
        return laid
    told = tuple(replace(each, role="user") if each.role == "tool" else each for each in row.messages)
    try:
        return _rendered(told, template, marks)
    except (TemplateError, DataError) as error:
        raise DataError(f"{_name(row)}: {error.message}", error.hint) from None


def _rendered(messages: Sequence[Message], template: str | None, marks: Marks) -> Layout:
    answers = [each.content for each in messages if each.role == "assistant"]
    if template is not None and _GENERATION.search(template):
        whole = _render(template, [_job(messages, marked=True)], marks)[0]
        text, spans = _unmarked(whole)
        if len(spans) == len(answers):
            return _closed(text, spans, marks)
    whole, cut = _render(template, [_job(messages), _job(_exchanged(messages))], marks)
    prompts = _prompts(messages, template, marks)
    spans = _between(whole, cut, answers, prompts, marks) or _by_turns(whole, messages, template, prompts, marks)
    if not any(end > start for start, end in spans):
        raise DataError("The chat template does not show the answer as it is.", "Use a template of your own for this model.")
    return _closed(whole, spans, marks)


def _job(messages: Sequence[Message], open_reply: bool = False, marked: bool = False) -> Job:
    return Job(tuple(ChatMessage(each.role, each.content) for each in messages), open_reply, marked)


def _render(template: str | None, jobs: Sequence[Job], marks: Marks) -> list[str]:
    return render_all(template, jobs, marks.bos, marks.eos, now=DATE)


def _unmarked(marked: str) -> tuple[str, list[Span]]:
    """A rendering without its marks, and what they stood around."""
    text, spans = "", []
    for place, part in enumerate(marked.split(MARK_BEGIN)):
        inside, closed, after = part.partition(MARK_END) if place else ("", "", part)
        if closed:
            spans.append((len(text), len(text) + len(inside)))
        text += inside + after
    return text, spans


def _exchanged(messages: Sequence[Message]) -> list[Message]:
    return [replace(each, content=f"x{_NONCE}x") if each.role == "assistant" else each for each in messages]


def _prompts(messages: Sequence[Message], template: str | None, marks: Marks) -> list[str]:
    """What the model is given before each answer, as a chat gives it; nothing where the template refuses."""
    places = [place for place, each in enumerate(messages) if each.role == "assistant"]
    jobs = [_job(messages[:place], open_reply=True) for place in places if place]
    try:
        texts = _render(template, jobs, marks) if jobs else []
    except TemplateError:
        texts = [""] * len(jobs)
    return [""] * (len(places) - len(jobs)) + texts


_VARIANTS: tuple[Callable[[str], str], ...] = (str, str.strip, str.lstrip, str.rstrip)
"""what templates do to an answer"""


def _between(whole: str, cut: str, answers: list[str], prompts: list[str], marks: Marks) -> list[Span]:
    """The answers between the fixed parts; none unless fixed parts and answers together give the whole rendering again."""
    parts = cut.split(f"x{_NONCE}x")
    if len(parts) != len(answers) + 1:
        return []
    for variant in _VARIANTS:
        said = [variant(each) for each in answers]
        if parts[0] + "".join(answer + part for answer, part in zip(said, parts[1:], strict=True)) == whole:
            break
    else:
        return []
    spans, position = [], len(parts[0])
    for answer, part, prompt in zip(said, parts[1:], prompts, strict=True):
        begin = len(prompt) if prompt and len(prompt) <= position and whole.startswith(prompt) else position
        position += len(answer)
        spans.append((begin, position + _turn_end(part, marks)) if answer else (position, position))
        position += len(part)
    return spans


def _turn_end(after: str, marks: Marks) -> int:
    """How much of what follows an answer ends its turn: the first control token, else one line break."""
    blank = len(after) - len(after.lstrip())
    token = max((each for each in marks.specials if each and after.startswith(each, blank)), key=len, default="")
    return blank + len(token) if token else len(after[:1]) if blank else 0


def _by_turns(whole: str, messages: Sequence[Message], template: str | None, prompts: list[str], marks: Marks) -> list[Span]:
    """The answers as what each turn adds; an empty stretch where the template writes an earlier turn differently later on."""
    places = [place for place, each in enumerate(messages) if each.role == "assistant"]
    upto = _render(template, [_job(messages[: place + 1]) for place in places], marks)
    spans = []
    for prompt, turn in zip(prompts, upto, strict=True):
        end = len(turn.rstrip())
        fits = prompt and whole.startswith(prompt) and whole.startswith(turn[:end]) and end > len(prompt)
        spans.append((len(prompt), end) if fits else (0, 0))
    return spans


def _closed(text: str, spans: list[Span], marks: Marks) -> Layout:
    """With the end-of-text token behind the last answer, if nothing ends it: without it a model would not learn to stop."""
    unlearned = sum(1 for begin, end in spans if end <= begin)
    begin, end = spans[-1]
    ends = any(each and text.endswith(each, 0, end) for each in marks.specials | {marks.eos} if each)
    if end <= begin or ends or text[end:].strip():
        return Layout(text, tuple(spans), unlearned)
    end = max(begin, len(text[:end].rstrip("\n")))
    text = text[:end] + marks.eos
    return Layout(text, (*spans[:-1], (begin, len(text))), unlearned)


# -- templates with slots, for base models


def check_prompt_template(template: str) -> None:
    """SettingError unless it has {instruction} (or {input}) and then, once, {response}."""
    slots = _SLOT.findall(template)
    if slots.count("response") != 1:
        raise SettingError(
            "The template must have {response} once: it says where the answer stands.",
            "Write for example: ### Instruction:\n{instruction}\n\n### Response:\n{response}",
        )
    if slots[-1] != "response" or not {"instruction", "input"} & set(slots):
        raise SettingError(
            "The template must have {instruction} before {response}.", "Add it: the question of each row is put there."
        )


def _by_slots(row: Row, template: str, marks: Marks) -> Layout:
    """Every question and its answer through the template, the end-of-text token behind each answer."""
    check_prompt_template(template)
    before, _, after = template.partition("{response}")
    text, system = "", row.system
    spans: list[Span] = []
    asked: list[str] = []
    for each in row.messages:
        if each.role in ("user", "tool"):
            asked.append(each.content)
        elif each.role == "assistant":
            question, given = "\n\n".join(asked), row.input if not spans else ""
            values = {"instruction": instruction_of(row, question) if given else question, "input": given, "system": system}
            if "{input}" not in template:
                values["instruction"] = question
            prompt = _filled(before, values)
            if system and "{system}" not in template:
                prompt = f"{system}\n\n{prompt}"
            text += ("\n\n" if text else "") + prompt
            begin = len(text)
            text += each.content + after + marks.eos
            spans.append((begin, len(text)) if each.content.strip() else (begin, begin))
            asked, system = [], ""
    return Layout(text, tuple(spans), sum(1 for begin, end in spans if begin == end))


def _filled(template: str, values: dict[str, str]) -> str:
    """The template with its slots filled; a paragraph whose slots are all empty is left out (an instruction without input)."""
    parts = re.split(r"(\n[ \t]*\n)", template)
    kept = []
    for part, gap in zip(parts[::2], [*parts[1::2], ""], strict=True):
        slots = _SLOT.findall(part)
        if not slots or any(values.get(slot) for slot in slots):
            kept.append(_SLOT.sub(lambda slot: values.get(slot[1], ""), part) + gap)
    return "".join(kept)
