"""Workers to talk to. One per engine where tests only read from it, one per test where they break it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from playground.paths import starter
from tests.models_made import random_model, reciting_folder, reciting_model
from tests.workers.talk import Talk


@pytest.fixture
def talk() -> Iterator[Talk]:
    """A llama.cpp worker without a model."""
    talk = Talk()
    yield talk
    talk.close()


ROLES = {"llama.cpp": "playground.workers.llama", "transformers": "playground.workers.torch_engine"}


@dataclass
class Engines:
    """A worker of each engine, started when it is first wanted (torch takes seconds to import), with one model at a time."""

    talks: dict[str, Talk] = field(default_factory=dict)
    there: dict[str, tuple[Path, dict[str, Any]]] = field(default_factory=dict)

    def talk(self, engine: str, path: Path, **context: Any) -> Talk:
        """The engine's worker, with this model loaded."""
        talk = self.talks.get(engine)
        if talk is None or talk.exit is not None:
            talk = self.talks[engine] = Talk(ROLES[engine])
            self.there.pop(engine, None)
        if self.there.get(engine) != (path, context):
            self.there.pop(engine, None)
            talk.load(path, **context)
            self.there[engine] = (path, context)
        return talk


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    found = Engines()
    yield found
    for talk in found.talks.values():
        talk.close()


class Libraries:
    """`training_host`: a process with torch, transformers and peft in it, which forks a child for each job."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        command = [sys.executable, "-m", "tests.workers.training_host"]
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)

    def begin(self, **job: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()

    def end(self) -> int:
        """How the child of the job that was begun has ended."""
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def program(self, script: Path, *arguments: Path, said: Any) -> Callable[[], Any]:
        """Starts a script that reads JSON and prints JSON; what it printed, once it has ended."""
        asked, out = self._folder / f"{script.stem}.in", self._folder / f"{script.stem}.out"
        asked.write_text(json.dumps(said))
        self.begin(alone=str(script), arguments=[str(each) for each in arguments], asked=str(asked), out=str(out))

        def printed() -> Any:
            assert self.end() == 0
            return json.loads(out.read_text())

        return printed

    def close(self) -> None:
        self._process.communicate(timeout=120)


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Libraries]:
    pytest.importorskip("peft", reason="the engine is not installed")
    found = Libraries(tmp_path_factory.mktemp("said"))
    yield found
    found.close()


@pytest.fixture(scope="module", params=list(ROLES))
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "transformers":
        pytest.importorskip("transformers", reason="the engine is not installed")
    return str(request.param)


@pytest.fixture(scope="module")
def model(engine: str) -> tuple[Path, dict[str, Any]]:
    """The starter model for an engine; of the folder in f32, where a row says the same alone and among others."""
    return (starter(), {}) if engine == "llama.cpp" else (starter().parent, {"precision": "f32"})


@pytest.fixture
def talking(engines: Engines, engine: str, model: tuple[Path, dict[str, Any]]) -> Talk:
    """Each engine's worker with the starter model."""
    return engines.talk(engine, model[0], **model[1])


@pytest.fixture
def other(engine: str, model: tuple[Path, dict[str, Any]]) -> Iterator[Talk]:
    """The same in another process, with nothing in its cache."""
    talk = Talk(ROLES[engine])
    talk.load(model[0], **model[1])
    yield talk
    talk.close()


PIECES = (
    b"start",
    b"Hel",
    b"lo ",
    b"\xc3",
    b"\xa9",
    b"\xf0",
    b"\x9f",
    b"\xa6",
    b"\x8a",
    b" EN",
    b"D.",
    b" more",
    b" and",
    b" last",
)
"""What the reciting model says: `Hello é🦊 END. more and last`, with characters and words in pieces."""


@pytest.fixture(scope="module")
def recited(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    if engine == "transformers":
        reciting_folder(folder / "reciting", PIECES)
        return folder / "reciting"
    reciting_model(folder / "reciting.gguf", PIECES)
    return folder / "reciting.gguf"


@pytest.fixture(scope="session")
def recited_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "reciting"
    reciting_folder(folder, PIECES)
    return folder


@pytest.fixture
def reciting(engines: Engines, engine: str, recited: Path) -> Talk:
    """A worker with a model that says `PIECES` after the prompt `[257]`, and then ends."""
    return engines.talk(engine, recited)


@pytest.fixture(scope="session")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model in Q8_0."""
    return random_model(tmp_path_factory.mktemp("models") / "random-Q8_0.gguf", "Q8_0")
