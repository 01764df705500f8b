"""In-context learning: a prompt made of an instruction, examples and a question, as chat turns or as one text. Pure: a draft in, words out.

Zero examples make it zero-shot, one one-shot, more few-shot (Brown et al. 2020, Language Models are Few-Shot Learners); the cue makes the
model write its way to the answer first (Wei et al. 2022; Kojima et al. 2022). Knows no chat template and no model.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from playground.errors import DataError

CUE = "Let's think step by step."
INPUT, OUTPUT = "input", "output"
_NAME = re.compile(r"\{\{|\}\}|\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True)
class Example:
    """One worked example."""

    input: str
    output: str


@dataclass(frozen=True)
class Draft:
    """A prompt in the making. In every text `{name}` stands for a variable; `{{` and `}}` are braces."""

    title: str = ""
    instruction: str = ""
    """what to do; the system prompt of chat turns, the first paragraph of a text"""
    input_pattern: str = "{input}"
    output_pattern: str = "{output}"
    examples: tuple[Example, ...] = ()
    shots: int = -1
    """how many of the examples are shown, the first ones; -1 for all"""
    query: str = ""
    """the input that is asked about"""
    variables: Mapping[str, str] = field(default_factory=dict)
    cue: str = ""
    """put at the beginning of the reply, before the answer; empty for none"""
    as_turns: bool = True

    @property
    def shown(self) -> tuple[Example, ...]:
        return self.examples if self.shots < 0 else self.examples[: self.shots]


@dataclass(frozen=True)
class Rendered:
    """What a draft comes to."""

    system: str
    turns: tuple[tuple[str, str], ...]
    """(question, answer) of the examples, where they are turns of their own"""
    prompt: str
    """the last message of the user"""
    reply_start: str
    missing: tuple[str, ...]
    """variables without a value"""

    @property
    def text(self) -> str:
        """All of it to read, without a chat template."""
        parts = [self.system] if self.system else []
        parts += [f"{question}\n{answer}" for question, answer in self.turns]
        return "\n\n".join([*parts, f"{self.prompt}\n{self.reply_start}".rstrip("\n")])


def variables_of(draft: Draft) -> tuple[str, ...]:
    """The variables that its texts name, in order, without those that the examples fill."""
    texts = (draft.instruction, draft.input_pattern, draft.output_pattern, draft.query, draft.cue)
    found = [match.group(1) for text in texts for match in _NAME.finditer(text) if match.group(1)]
    return tuple(name for name in dict.fromkeys(found) if name not in (INPUT, OUTPUT))


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with the values of its variables; a name without one stays as it is."""

    def put(match: re.Match[str]) -> str:
        name = match.group(1)
        return match.group(0)[0] if name is None else values.get(name) or match.group(0)

    return _NAME.sub(put, text)


def render(draft: Draft) -> Rendered:
    """The draft as what is asked. As chat turns the examples become a conversation; as one text all of it is one message."""
    values = {name: value for name, value in draft.variables.items() if name not in (INPUT, OUTPUT)}

    def filled(pattern: str, **more: str) -> str:
        """Values first: what an example says is nobody's pattern."""
        parts = re.split(r"(\{input\}|\{output\})", pattern)
        return "".join(more.get(part[1:-1], part) if part in ("{input}", "{output}") else fill(part, values) for part in parts)

    instruction = fill(draft.instruction, values).strip()
    answer_head = filled(draft.output_pattern.partition("{output}")[0]).rstrip()
    pairs = [
        (filled(draft.input_pattern, input=each.input), filled(draft.output_pattern, output=each.output))
        for each in draft.shown
    ]
    asked = filled(draft.input_pattern, input=fill(draft.query, values))
    cue = fill(draft.cue, values).strip()
    missing = tuple(name for name in variables_of(draft) if not values.get(name))
    if draft.as_turns:
        start = f"{cue} " if cue else f"{answer_head} " if answer_head and not pairs else ""
        return Rendered(instruction, tuple(pairs), asked, start, missing)
    parts = [instruction] if instruction else []
    parts += [f"{question}\n{answer}" for question, answer in pairs]
    last = "\n".join(part for part in (asked, answer_head, cue) if part)
    return Rendered("", (), "\n\n".join([*parts, last]), "", missing)


# -- examples from tables


def read_examples(text: str) -> tuple[Example, ...]:
    """Rows of a pasted table or a CSV file, two columns each; a header `input,output` is passed over. DataError names a row that is none."""
    lines = text.strip("\n\r").splitlines()
    if not any(map(str.strip, lines)):
        raise DataError("There is no example in it.", "Give rows of two columns: input and output.")
    delimiter = (
        "\t" if "\t" in text else ";" if all(";" in line for line in lines if line.strip()) and "," not in lines[0] else ","
    )
    try:
        rows = [
            row
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
            if any(map(str.strip, row))
        ]
    except csv.Error as error:
        raise DataError(f"This is no table: {error}.", "Quote fields that hold quotation marks, and double those.") from None
    found = []
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            raise DataError(f"Row {number} has {len(row)} columns.", "An example has two: input and output.")
        found.append(Example(row[0].strip(), row[1].strip()))
    if (found[0].input.lower(), found[0].output.lower()) in HEADERS:
        found = found[1:]
    if not found:
        raise DataError("There is no example in it.", "Give rows of two columns: input and output.")
    return tuple(found)


HEADERS = {("input", "output"), ("prompt", "completion"), ("question", "answer"), ("text", "label"), ("source", "target")}


# -- kept ones


def to_dict(draft: Draft) -> dict[str, Any]:
    data = {each.name: getattr(draft, each.name) for each in fields(draft)}
    return data | {"examples": [[each.input, each.output] for each in draft.examples], "variables": dict(draft.variables)}


def from_dict(data: Mapping[str, Any]) -> Draft:
    """The inverse; what is of another kind than it should be takes its default."""
    plain = Draft()
    values: dict[str, Any] = {}
    for each in fields(Draft):
        value, default = data.get(each.name), getattr(plain, each.name)
        if each.name in ("examples", "variables") or type(value) is not type(default):
            continue
        values[each.name] = value
    rows = data.get("examples")
    if isinstance(rows, list):
        pairs = [row for row in rows if isinstance(row, (list, tuple)) and len(row) == 2]
        values["examples"] = tuple(Example(str(row[0]), str(row[1])) for row in pairs)
    names = data.get("variables")
    if isinstance(names, dict):
        values["variables"] = {str(name): str(value) for name, value in names.items()}
    return replace(plain, **values)


# -- ready-made ones


def _pairs(*rows: Sequence[str]) -> tuple[Example, ...]:
    return tuple(Example(*row) for row in rows)


READY: tuple[Draft, ...] = (
    Draft(
        "Classification",
        "Decide whether the text is {labels}. Answer with one word.",
        "Text: {input}",
        "Class: {output}",
        _pairs(
            ("The soup was cold and the waiter rude.", "negative"),
            ("I would come back tomorrow.", "positive"),
            ("We sat by the window.", "neutral"),
        ),
        query="The music was too loud, but the cake was wonderful.",
        variables={"labels": "positive, negative or neutral"},
    ),
    Draft(
        "Extraction",
        "Take the {fields} out of the text, as JSON. Write null for what is not said.",
        "Text: {input}",
        "JSON: {output}",
        _pairs(
            ("Mara met Jonas in Lisbon in May.", '{"people": ["Mara", "Jonas"], "place": "Lisbon", "month": "May"}'),
            ("It rained for the whole of March.", '{"people": [], "place": null, "month": "March"}'),
        ),
        query="In Oslo, Ida found the letter that Per had written in June.",
        variables={"fields": "people, place and month"},
    ),
    Draft(
        "Translation",
        "Translate from {source} to {target}.",
        "{source}: {input}",
        "{target}: {output}",
        _pairs(("Good morning.", "Guten Morgen."), ("Where is the station?", "Wo ist der Bahnhof?")),
        query="The train leaves at nine.",
        variables={"source": "English", "target": "German"},
    ),
    Draft(
        "Arithmetic, step by step",
        "Solve the problem. Write the steps, then the answer on a line of its own.",
        "Question: {input}",
        "Answer: {output}",
        _pairs(
            (
                "A shelf has 3 rows of 4 books. 5 are taken out. How many are left?",
                "3 rows of 4 books are 3 × 4 = 12 books. 12 − 5 = 7.\nThe answer is 7.",
            ),
            (
                "Tom has 2 bags with 6 marbles each and finds 3 more. How many has he?",
                "2 bags of 6 are 2 × 6 = 12 marbles. 12 + 3 = 15.\nThe answer is 15.",
            ),
        ),
        query="A train has 5 carriages with 8 seats each. 11 seats are taken. How many are free?",
        cue=CUE,
    ),
)
