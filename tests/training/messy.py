"""Small messy datasets, each made here, with what is to be made of it: so many rows, these problems, this first row."""

# ruff: noqa: E501  a case is a line

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Files = dict[str, bytes]


@dataclass(frozen=True)
class Case:
    """`files`: name and bytes (several make a folder). `problems`: (kind, row, field). `first`: the first row's messages or text."""

    name: str
    files: Files
    rows: int
    schema: str = "answers"
    problems: tuple[tuple[str, int, str], ...] = ()
    first: Any = None

    def write(self, folder: Path) -> Path:
        for name, data in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return folder / next(iter(self.files)) if len(self.files) == 1 else folder


def jsonl(*rows: Any, end: str = "\n", encoding: str = "utf-8") -> bytes:
    return "".join((each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)) + end for each in rows).encode(
        encoding
    )


def qa(number: int, answer: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "question": f"What is {number} + 1?",
        "answer": f"{number} + 1 = {number + 1}." if answer is None else answer,
        **more,
    }


def chat(
    *turns: tuple[str, Any], key: str = "messages", role: str = "role", content: str = "content", **more: Any
) -> dict[str, Any]:
    return {key: [{role: who, content: said} for who, said in turns], **more}


def share(*turns: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return chat(*turns, key="conversations", role="from", content="value", **more)


def parquet(rows: list[dict[str, Any]]) -> Callable[[], bytes]:
    def make() -> bytes:
        import io

        import pyarrow
        from pyarrow import parquet as file

        out = io.BytesIO()
        file.write_table(pyarrow.Table.from_pylist(rows), out)
        return out.getvalue()

    return make


U, A, S, T = "user", "assistant", "system", "tool"
HI = [(U, "Hi"), (A, "Hello.")]
ADD = [(U, "What is 1 + 1?"), (A, "1 + 1 = 2.")]
LONG = "A frog sat by the lake and sang a song about the moon.\n\n"

CASES = [
    # -- formats
    Case("alpaca", {"a.json": json.dumps([{"instruction": "Turn round.", "input": "a b", "output": "b a"}, {"instruction": "Hi", "input": "", "output": "Hello."}]).encode()}, 2, first=[(U, "Turn round.\n\na b"), (A, "b a")]),
    Case("openai chat", {"a.jsonl": jsonl(chat((S, "You are Pip."), *HI))}, 1, "chat", first=[(S, "You are Pip."), *HI]),
    Case("sharegpt with system and tool turns", {"a.jsonl": jsonl(share(("system", "Use tools."), ("human", "Time?"), ("function_call", '{"name": "clock"}'), ("observation", "12:00"), ("gpt", "It is noon.")))}, 1, "chat", first=[(S, "Use tools."), (U, "Time?"), (A, '{"name": "clock"}'), (T, "12:00"), (A, "It is noon.")]),
    Case("sharegpt, system in its own column", {"a.json": json.dumps([share(("human", "Hi"), ("gpt", "Hello."), system="Be kind.")]).encode()}, 1, "chat", first=[(S, "Be kind."), *HI]),
    Case("openai tool calls, parts and weights", {"a.jsonl": jsonl({"messages": [{"role": "user", "content": [{"type": "text", "text": "Time"}, {"type": "text", "text": "?"}]}, {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {"name": "clock", "arguments": '{"zone": "UTC"}'}}], "weight": 0}, {"role": "tool", "content": "12:00"}, {"role": "assistant", "content": "Noon.", "weight": 1}]})}, 1, "chat", first=[(U, "Time?"), (A, '{"name": "clock", "arguments": {"zone": "UTC"}}'), (T, "12:00"), (A, "Noon.")]),
    Case("prompt and completion", {"a.jsonl": jsonl({"prompt": "Hi", "completion": "Hello."})}, 1, first=HI),
    Case("conversational prompt and completion", {"a.jsonl": jsonl({"prompt": [{"role": "user", "content": "Hi"}], "completion": [{"role": "assistant", "content": "Hello."}]})}, 1, first=HI),
    Case("preference pairs", {"a.jsonl": jsonl({"prompt": "Hi", "chosen": "Hello.", "rejected": "Go away."})}, 1, "pairs", first=HI),
    Case("preference pairs of messages", {"a.jsonl": jsonl({"chosen": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}], "rejected": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "No."}], "score_chosen": 9.0})}, 1, "pairs", first=HI),
    Case("preference pairs as transcripts", {"a.jsonl": jsonl({"chosen": "\n\nHuman: Hi\n\nAssistant: Hello.", "rejected": "\n\nHuman: Hi\n\nAssistant: No."})}, 1, "pairs", first=HI),
    Case("plain text rows", {"a.jsonl": jsonl({"text": LONG}, {"text": LONG * 2})}, 2, "text", first=LONG),
    Case("a list of texts", {"a.json": json.dumps([LONG, LONG * 2]).encode()}, 2, "text"),
    Case("a folder of markdown", {"b.md": LONG.encode(), "sub/a.txt": (LONG * 2).encode(), ".hidden/c.md": b"no", "picture.png": b"\x89PNG"}, 2, "text"),
    Case("a folder of tables with a readme", {"one.csv": b"question,answer\nHi,Hello.\n", "two.jsonl": jsonl(qa(1)), "README.md": b"# About"}, 2),
    Case("csv", {"a.csv": b"question,answer\nHi,Hello.\n"}, 1, first=HI),
    Case("csv with semicolons, quotes and line breaks", {"a.csv": b'Frage;question;answer\r\n1;"Hi; you";"He said ""hello""\r\nand left."\r\n'}, 1, first=[(U, "Hi; you"), (A, 'He said "hello"\r\nand left.')]),
    Case("csv without a header", {"a.csv": b"What is 1 + 1?,1 + 1 = 2.\nWhat is 2 + 1?,2 + 1 = 3.\n"}, 2, first=ADD),
    Case("tsv", {"a.tsv": b"prompt\tresponse\nHi\tHello.\n"}, 1, first=HI),
    Case("a json file that holds lines", {"a.json": jsonl(qa(1), qa(2))}, 2, first=ADD),
    Case("pretty-printed json", {"a.json": json.dumps([qa(1), qa(2)], indent=4).encode()}, 2, first=ADD),
    Case("rows under a key", {"a.json": json.dumps({"version": "1.0", "tags": ["a"], "data": [qa(1), qa(2)]}, indent=1).encode()}, 2, first=ADD),
    Case("rows of a dataset server", {"a.json": json.dumps({"features": [], "rows": [{"row_idx": 0, "row": qa(1)}]}).encode()}, 1, first=ADD),
    Case("nested json", {"a.jsonl": jsonl({"id": 1, "data": {"question": "Hi", "answers": {"text": ["Hello.", "Hey."], "start": [0, 4]}}})}, 1, first=HI),
    Case("conversations written into cells", {"a.csv": b'id,conversation\n1,"[{""role"": ""user"", ""content"": ""Hi""}, {""role"": ""assistant"", ""content"": ""Hello.""}]"\n'}, 1, "chat", first=HI),
    Case("turns as pairs of keys", {"a.jsonl": jsonl({"conversation": [{"human": "Hi", "assistant": "Hello."}]})}, 1, "chat", first=HI),
    Case("odd names told by their looks", {"a.jsonl": jsonl({"Frage": "Hi you", "Antwort": "Hello to you, my friend."})}, 1, first=[(U, "Hi you"), (A, "Hello to you, my friend.")]),
    Case("an array of conversations", {"a.json": json.dumps([chat(*HI)["messages"], chat(*ADD)["messages"]]).encode()}, 2, "chat", first=HI),
    Case("a conversation a line", {"a.jsonl": jsonl(chat(*HI)["messages"])}, 1, "chat", first=HI),
    Case("conversations as lists of texts", {"a.jsonl": jsonl({"conversations": ["Hi", "Hello."], "source": "x"})}, 1, "chat", first=HI),
    Case("a passage with questions", {"a.jsonl": jsonl({"id": "1", "title": "T", "context": "A frog sat.", "question": "Who sat?", "answers": {"text": ["A frog", "frog"], "answer_start": [0, 2]}})}, 1, first=[(U, "Who sat?\n\nA frog sat."), (A, "A frog")]),
    Case("instruction, context, response, category", {"a.jsonl": jsonl({"instruction": "Hi", "context": "", "response": "Hello.", "category": "chat"})}, 1, first=HI),
    Case("answers marked as good and bad", {"a.jsonl": jsonl({"prompt": "Hi", "completion": "Hello.", "label": True}, {"prompt": "Hi", "completion": "Go away.", "label": False})}, 1, problems=(("disliked", 2, "label"),), first=HI),
    Case("system prompts in a column", {"a.jsonl": jsonl({"id": 1, "system_prompt": "Be kind.", "question": "Hi", "response": "Hello."})}, 1, first=[(S, "Be kind."), *HI]),
    Case("a column without a name", {"a.jsonl": jsonl({"": "a frog sat by the lake"}, {"x": ""}, {"question": "Hi", "answer": "Hello."})}, 1, problems=(("columns", 1, "answer"), ("columns", 2, "answer")), first=HI),
    # -- bytes
    Case("byte order mark and CRLF", {"a.jsonl": b"\xef\xbb\xbf" + jsonl(qa(1), qa(2), end="\r\n")}, 2, first=ADD),
    Case("byte order mark in a csv", {"a.csv": b"\xef\xbb\xbfquestion,answer\r\nHi,Hello.\r\n"}, 1, first=HI),
    Case("UTF-16", {"a.csv": "question\tanswer\nHi\tHello.\n".encode("utf-16")}, 1, first=HI),
    Case("one line of invalid UTF-8", {"a.jsonl": jsonl(qa(1)) + b'{"question": "caf\xe9?", "answer": "yes"}\n' + jsonl(qa(3), qa(4, "caf\u00e9"))}, 3, problems=(("encoding", 2, ""),), first=ADD),
    Case("Windows-1252 all over", {"a.csv": "question,answer\nCafé?,Oui, ça.\nMoka?,Déjà vu.\n".replace("Oui, ", "Oui ").encode("cp1252")}, 2, first=[(U, "Café?"), (A, "Oui ça.")]),
    Case("half a character", {"a.jsonl": b'{"question": "Hi", "answer": "Hello \\ud83d."}\n'}, 1),
    # -- rows that are wrong
    Case("broken lines", {"a.jsonl": jsonl(qa(1), '{"question": "Hi", ', "", "not json", qa(4))}, 2, problems=(("unreadable", 2, ""), ("unreadable", 4, "")), first=ADD),
    Case("an array that breaks off", {"a.json": json.dumps([qa(1), qa(2), qa(3)]).encode()[:-20]}, 2, problems=(("unreadable", 3, ""),), first=ADD),
    Case("mixed schemas", {"a.jsonl": jsonl(qa(1), {"instruction": "Hi", "output": "Hello."}, chat(*HI), {"id": 7, "n": 3}, qa(5, context=""))}, 3, problems=(("columns", 4, "answer"), ("duplicate", 3, "")), first=ADD),
    Case("mixed schemas, the first of a kind without an answer", {"a.jsonl": jsonl(qa(1), qa(2), {"instruction": "Hi", "output": ""}, {"instruction": "Hi", "output": "Hello."})}, 3, problems=(("empty answer", 3, "output"),), first=ADD),
    Case("a row whose looks would mislead", {"a.jsonl": jsonl({"wer": "Hi you", "was": "Hello to you", "wo": "in the lake"}, {"wer": "Hi again", "was": "", "wo": "in the lake"})}, 0, "", problems=(("columns", 1, ""), ("columns", 2, ""))),
    Case("rows that are no objects", {"a.jsonl": jsonl(qa(1), "17", "null", '"a text of its own"')}, 2, problems=(("type", 2, ""), ("type", 3, "")), first=ADD),
    Case("empty answers", {"a.jsonl": jsonl(qa(1), qa(2, ""), qa(3, "  \n"), {"question": "Hi", "answer": None})}, 1, problems=(("empty answer", 2, "answer"), ("empty answer", 3, "answer"), ("empty answer", 4, "answer")), first=ADD),
    Case("an empty answer inside a conversation", {"a.jsonl": jsonl(chat(*HI), chat((U, "Hi"), (A, ""), (U, "Well?"), (A, "Yes.")))}, 1, "chat", problems=(("empty answer", 2, "messages[1].content"),)),
    Case("an empty question", {"a.csv": b"question,answer\n,Hello.\nHi,Hello.\n"}, 1, problems=(("no question", 1, "question"),), first=HI),
    Case("numbers as strings and strings as numbers", {"a.jsonl": jsonl({"question": 7, "answer": 8.5}, {"question": "7", "answer": "true"}, {"question": "Is it?", "answer": True})}, 3, first=[(U, "7"), (A, "8.5")]),
    Case("an answer that is an object", {"a.jsonl": jsonl(qa(1), qa(2, [{"start": 1}]))}, 1, problems=(("type", 2, "answer"),), first=ADD),
    Case("messages that are no list", {"a.jsonl": jsonl(chat(*HI), {"messages": "Hello"}, {"messages": []}, {"messages": [3]})}, 1, "chat", problems=(("type", 2, "messages"), ("empty answer", 3, "messages"), ("type", 4, "messages[0]"))),
    Case("an unknown role", {"a.jsonl": jsonl(chat(*HI), chat(("narrator", "Once"), *HI))}, 1, "chat", problems=(("role", 2, "messages[0].role"),)),
    Case("conversations out of order", {"a.jsonl": jsonl(chat((A, "Welcome!"), *HI), chat(*HI, (U, "Bye")), chat((U, "Hi"), (U, "there"), (A, "Hello.")))}, 2, "chat", problems=(("starts with an answer", 1, "messages[0]"), ("ends with a question", 2, "messages[2]"), ("duplicate", 2, ""), ("same role twice", 3, "messages[1]")), first=HI),
    Case("nobody answers", {"a.jsonl": jsonl(chat(*HI), chat((U, "Hi"), (U, "Hello?")))}, 1, "chat", problems=(("empty answer", 2, "messages"),)),
    Case("ragged cells", {"a.csv": b"question,answer\nHi,Hello, friend.\nHi,Hello.\nalone\n"}, 1, problems=(("cells", 1, ""), ("cells", 3, "")), first=HI),
    Case("wrong columns", {"a.jsonl": jsonl({"id": 1, "n": 2}, {"id": 3, "n": 4})}, 0, "", problems=(("columns", 1, ""), ("columns", 2, ""))),
    Case("duplicates, exact and near", {"a.jsonl": jsonl(qa(1), qa(1), {"question": "what is 1 + 1", "answer": "1 + 1 = 2"})}, 2, problems=(("duplicate", 2, ""), ("near duplicate", 3, "")), first=ADD),
    Case("hardly anything", {"a.jsonl": jsonl(qa(1), qa(2, "..."), qa(3, "4"))}, 2, problems=(("near-empty", 2, "messages[1].content"),), first=ADD),
    Case("short texts", {"a.jsonl": jsonl({"text": LONG}, {"text": "x"}, {"text": ""})}, 1, "text", problems=(("near-empty", 2, "text"), ("empty answer", 3, "text"))),
    Case("secrets", {"a.jsonl": jsonl(qa(1, "My key is AKIAIOSFODNN7ABCDEFG."), qa(2, "-----BEGIN RSA PRIVATE KEY-----\nMII"), qa(3, "Write to jane.doe@mail.org."), qa(4, "Write to me@example.com, user@host."))}, 4, problems=(("secret", 1, "messages[1].content"), ("secret", 2, "messages[1].content"), ("e-mail address", 3, "messages[1].content"))),
    Case("a quote that nothing closes", {"a.csv": b'question,answer\nHi,"Hello.\nBye,Good bye.\nAgain,"Yes, ""again""."\n'}, 2, problems=(("unreadable", 1, ""),), first=[(U, "Bye"), (A, "Good bye.")]),
    Case("quotes inside quotes", {"a.csv": b'question,answer\nHi,Hello.\nBye,"He said "bye" to me"\n'}, 1, problems=(("unreadable", 2, ""),), first=HI),
    Case("line separators that are none", {"a.csv": "question,answer\nHi,Hello\u2028you.\x85\n".encode()}, 1, first=[(U, "Hi"), (A, "Hello\u2028you.\x85")]),
    Case("commas in a tsv", {"a.tsv": b"prompt,completion\nHi,Hello.\n"}, 1, first=HI),
    Case("a spreadsheet's first line", {"a.csv": b"sep=;\nquestion;answer\nHi;Hello.\n"}, 1, first=HI),
    Case("a separator at each line's end", {"a.csv": b"question,answer,\nHi,Hello.,\n"}, 1, first=HI),
    Case("lines of json with commas behind", {"a.jsonl": b",\n".join((jsonl(qa(1))[:-1], jsonl(qa(2))))}, 2, first=ADD),
    Case("objects one behind another", {"a.json": json.dumps(qa(1), indent=2).encode() + b"\n" + json.dumps(qa(2), indent=2).encode()}, 2, first=ADD),
    Case("lines of json in a text file", {"a.txt": jsonl(qa(1), qa(2))}, 2, first=ADD),
    Case("a first line that cannot be read", {"a.jsonl": b'{"n": ' + b"9" * 5000 + b"}\n" + jsonl(qa(1))}, 1, problems=(("unreadable", 1, ""),), first=ADD),
    Case("a web page for json", {"a.json": b"<!doctype html><html></html>"}, 0, "", problems=(("unreadable", 1, ""),)),
    Case("invalid UTF-8 in an array", {"a.json": b'[{"question": "caf\xe9?", "answer": "Yes, it is."}, {"question": "Hi", "answer": "Hello."}]'}, 1, problems=(("encoding", 1, "question"),), first=HI),
    Case("UTF-16, a line separator in a text", {"a.jsonl": jsonl({"question": "Hi", "answer": "Hello\u2028you."}, encoding="utf-16")}, 1, first=[(U, "Hi"), (A, "Hello\u2028you.")]),
    Case("one row", {"a.jsonl": jsonl(qa(1))}, 1, first=ADD),
]  # fmt: skip

PARQUET_ROWS = [qa(1), qa(2)]
PARQUET_CHATS = [chat(*HI), chat((U, "Hi"), (A, "Hey."))]
