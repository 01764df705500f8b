"""What was acknowledged is there, whatever is killed, and however many write."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

from playground.history.store import Store
from tests.history.chats import add_chat, child, run_child

WRITER = """
import sys
from pathlib import Path
from playground.history.recorder import Recorder
from tests.history.chats import add_chat, generation, reply, tokens
path, name = Path(sys.argv[1]), sys.argv[2]
recorder = Recorder(path, lambda trouble: None)
def begin(store):
    add_chat(store, name, "Tell me a story")
    store.add_message(reply(f"{name}-a", "", f"{name}-0", session_id=name, state="streaming"))
    store.add_generation(generation(f"{name}-g", f"{name}-a", name))
recorder.submit(begin).result(60)
for number in range(int(sys.argv[3])):
    row = tokens(f" {number}", start=number)
    recorder.submit(lambda store, row=row: store.append_tokens(f"{name}-g", row), lambda n=number: print(n, flush=True))
assert recorder.close(60)
"""


def test_every_acknowledged_token_outlives_a_kill(path: Path) -> None:
    rng = random.Random(7)
    for number in range(5):
        with child(WRITER, path, f"s{number}", 100_000) as process:
            assert process.stdout is not None
            acknowledged = -1
            for _ in range(rng.randrange(1, 400)):
                acknowledged = int(process.stdout.readline())
            process.kill()
            rest = process.stdout.read().splitlines()
            if len(rest) > 1:
                acknowledged = int(rest[-2])  # the last line may be cut
        with Store(path) as store:
            assert store.mark_interrupted() == 1
            indices = [each.index for each in store.tokens(f"s{number}-g")]
            assert indices == list(range(len(indices)))
            assert len(indices) > acknowledged
            message = store.message(f"s{number}-a")
            assert message.state == "interrupted"
            assert message.content == "".join(f" {index}" for index in indices)
    with Store(path) as store:
        assert len(store.sessions()) == 5
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_two_processes_write_one_database(path: Path) -> None:
    Store(path).close()
    with child(WRITER, path, "a", 2000) as first, child(WRITER, path, "b", 2000) as second:
        for process in (first, second):
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0
            assert output.splitlines() == [str(number) for number in range(2000)]
    with Store(path) as store:
        assert len(store.tokens("a-g")) == len(store.tokens("b-g")) == 2000


def test_a_command_line_beside_the_window(path: Path) -> None:
    with Store(path) as store:
        add_chat(store, "window", "Hello")
        run_child(WRITER, path, "cli", 50)
        assert len(store.tokens("cli-g")) == 50
        assert len(store.sessions()) == 2
