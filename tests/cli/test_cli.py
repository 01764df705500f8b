"""The command line as scripts see it: exit codes, one JSON line, one sentence for what is wrong, and nothing left running."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from playground import cli
from playground.paths import starter

ROOT = Path(__file__).parents[2]
HELLO = ("chat", "starter", "--prompt", "Hello", "--temperature", "0", "--max-tokens", "4")
# What was said lately becomes ever likelier, so the reply ends with its window only: many seconds, whatever the seed.
STORY = (
    *("chat", "starter", "--prompt", "Tell me a long story.", "--temperature", "0", "--frequency-penalty", "-2"),
    *("--context", "16384"),
)

posix = pytest.mark.skipif(os.name != "posix", reason="signals, pipes and bytes as POSIX has them")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def start(home: Path | str, *arguments: str | bytes, **more: Any) -> subprocess.Popen[bytes]:
    given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    environment = {**os.environ, "PLAYGROUND_HOME": str(home), **given.pop("env", {})}
    return subprocess.Popen([sys.executable, "-m", "playground", *arguments], env=environment, cwd=ROOT, **given)


def run(home: Path | str, *arguments: str | bytes, **more: Any) -> tuple[int, str, str]:
    """Exit code, stdout, stderr. Whatever happens there is no traceback, and no process is left."""
    with start(home, *arguments, **more) as process:
        out, err = process.communicate(timeout=280)
    said = (err or b"").decode("utf-8", "replace")
    assert "Traceback" not in said, said
    return process.returncode, (out or b"").decode("utf-8", "replace"), said


def refused(home: Path | str, *arguments: str | bytes, code: int = 1) -> str:
    """The sentence, without the program's name."""
    status, out, err = run(home, *arguments)
    assert (status, out) == (code, ""), (status, out, err)
    (line,) = err.splitlines()
    assert line.startswith("playground: ") and line.count(". ") >= 1  # what is wrong, and a way out
    return line.removeprefix("playground: ")


@pytest.fixture
def here(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`refused` without a process of its own: for what never comes to start a worker."""
    monkeypatch.setenv("PLAYGROUND_HOME", str(home))
    monkeypatch.chdir(ROOT)

    def refuse(*arguments: str, code: int = 1) -> str:
        assert cli.main([*arguments]) == code
        out, err = capsys.readouterr()
        (line,) = err.splitlines()
        assert out == "" and line.startswith("playground: ") and line.count(". ") >= 1
        return line.removeprefix("playground: ")

    return refuse


def test_json_is_one_line_and_can_be_replayed(home: Path) -> None:
    status, out, err = run(home, *HELLO, "--json")
    assert status == 0 and err == ""
    assert out.endswith("\n") and out.count("\n") == 1
    answer = json.loads(out)
    wanted = {"text", "token_ids", "logprobs", "settings", "seed", "engine", "prompt_tokens", "completion_tokens"}
    assert wanted | {"prefill_s", "decode_s", "generation_id"} <= set(answer)
    status, out, _ = run(home, "log", "replay", answer["generation_id"], "--json")
    assert status == 0 and json.loads(out)["identical"] is True


@posix
def test_characters_that_cannot_be_printed_are_escaped(home: Path) -> None:
    start_with = ("--reply-start", "é→😀")
    environment = {"PYTHONIOENCODING": "ascii"}
    status, out, _ = run(home, *HELLO, *start_with, "--json", env=environment)
    assert status == 0 and json.loads(out)["text"].startswith("é→😀")
    assert run(home, *HELLO, *start_with, env=environment)[0] == 0


@posix
def test_bytes_that_are_no_text(home: Path, tmp_path: Path) -> None:
    strict = {"PYTHONIOENCODING": "utf-8:strict"}
    options = [each for name in ("--system", "--reply-start", "--stop") for each in (name, b"caf\xe9")]
    status, out, _ = run(home, *HELLO, *options, "--json", env=strict)
    assert status == 0 and json.loads(out)["generation_id"]
    model = os.fsencode(tmp_path) + b"/caf\xe9.gguf"
    assert run(home, b"chat", model, b"--prompt", b"Hello")[0] == 1
    shutil.copy(starter(), model)
    assert run(home, b"chat", model, b"--prompt", b"caf\xe9", b"--max-tokens", b"4", b"--json")[0] == 0


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("missing.gguf", "There is no file missing.gguf"),
        ("./missing.gguf", "There is no file missing.gguf"),
        ("~nobody-of-that-name/m.gguf", "There is no file ~nobody-of-that-name"),
        ("nothing", "There is no model called 'nothing'"),
        ("", "There is no model called ''"),
        ("m" * 5000, "There is no model called"),
        ("tests", "has no config.json"),
    ],
)
def test_a_model_that_is_not_there(here: Callable[..., str], model: str, words: str) -> None:
    assert words in here("chat", model, "--prompt", "Hello", "--json")


def test_files_that_are_no_models(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    for content, words in (
        (b"", "is empty"),
        (b"hi\n", "is not a GGUF file"),
        (starter().read_bytes()[:-1000], "is cut short"),
    ):
        path.write_bytes(content)
        assert words in refused(home, "chat", str(path), "--prompt", "Hello")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--temperature", "9"), "from 0 to 2"),
        (("--temperature", "nan"), "must be a number"),
        (("--top-k", "many"), "'many' is not a value"),
        (("--stages", "foo"), "every stage once"),
        (("--max-tokens", "-5"), "from 0 to 1,000,000"),
        (("--context", "99999999999"), "from 0 to 16,777,216"),
        (("--ubatch", "4096"), "larger than batch"),
    ],
)
def test_settings_that_cannot_be(here: Callable[..., str], options: tuple[str, ...], words: str) -> None:
    assert words in here(*HELLO, *options, code=2)


@pytest.mark.parametrize(
    "arguments",
    [("--bogus",), ("bogus",), ("chat",), ("chat", "starter", "--bogus"), ("log", "list", "--limit", "-1"), ("log", "replay")],
)
def test_wrong_usage(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "") and err.startswith("usage: ")


def test_prompts_that_cannot_be(home: Path) -> None:
    assert "nothing to send" in refused(home, "chat", "starter", "--prompt", " ")
    said = refused(home, "chat", "starter", "--prompt", "word " * 3000, "--json")
    assert "the context window holds 1,024" in said and "Shorten" in said
    assert "16,000,000 tokens needs" in refused(home, *HELLO, "--context", "16000000")


def test_what_is_not_in_the_log(here: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("replay", "nothing", "--json"), ("show", "nothing"), ("export", "nothing"), ("show", "\udcff")):
        assert "playground log list" in here("log", *arguments)
    assert cli.main(["log", "list"]) == 0
    out, err = capsys.readouterr()
    assert out == "" and "Nothing was said yet" in err


# -- the data folder


def test_a_data_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    status, out, err = run(tmp_path / "file" / "under", *HELLO, "--json")
    assert status == 0 and json.loads(out)["text"]
    assert "file is a file" in err and "could not be saved" in err
    assert "file is a file" in refused(tmp_path / "file", "log", "list")


@posix
@pytest.mark.parametrize("spoil", [b"\0" * 9000, b"not a database " * 1000])
def test_a_damaged_database_is_not_an_empty_one(home: Path, here: Callable[..., str], spoil: bytes) -> None:
    home.mkdir()
    (home / "playground.db").write_bytes(spoil)
    for arguments in (("list", "--json"), ("search", "word"), ("replay", "x")):
        assert "damaged" in here("log", *arguments)
    assert (home / "playground.db").read_bytes() == spoil


@posix
def test_without_a_home(tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if name not in ("HOME", "PLAYGROUND_HOME", "XDG_DATA_HOME")}
    for environment in (bare | {"HOME": str(tmp_path)}, bare | {"PLAYGROUND_HOME": str(tmp_path), "HOME": ""}):
        done = subprocess.run(
            [sys.executable, "-m", "playground", "log", "list"], env=environment, cwd=ROOT, capture_output=True, timeout=60
        )
        assert done.returncode == 0 and b"Nothing was said yet" in done.stderr
    assert run("~nobody-of-that-name/x", "--version")[0] == 0


@posix
def test_the_home_of_somebody_unknown(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "playground", "log", "list"],
        env={**os.environ, "PLAYGROUND_HOME": "~nobody-of-that-name/x", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0 and b"Traceback" not in done.stderr


# -- who reads, and who interrupts


def children(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def speaking(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Its children, at its reply's first letters. They are looked for beforehand, so that nothing slow lies
    between those letters and a signal."""
    found: list[psutil.Process] = []
    ends = time.monotonic() + 120
    while not found:
        assert process.poll() is None and time.monotonic() < ends, "no worker came"
        time.sleep(0.01)
        with contextlib.suppress(psutil.Error):  # one may end while it is being asked
            found = [each for each in children(process) if "spawn_main" in " ".join(each.cmdline())]
    assert process.stdout is not None and process.stdout.read(3)
    return found


def ended(process: subprocess.Popen[bytes], left: list[psutil.Process]) -> tuple[int, str]:
    _, err = process.communicate(timeout=120)
    _, alive = psutil.wait_procs(left, timeout=120)
    assert not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]
    said = (err or b"").decode()
    assert "Traceback" not in said
    return process.returncode, said


@posix
@pytest.mark.parametrize("arguments", [STORY, (*HELLO, "--json"), ("--version",), ("--help",)])
def test_nobody_reads_on(home: Path, arguments: tuple[str, ...]) -> None:
    """`playground ... | head -c 5`"""
    reads, writes = os.pipe()
    os.close(reads)
    status, _, err = run(home, *arguments, stdout=writes, env={"PYTHONUNBUFFERED": "1"})
    os.close(writes)
    assert status in (0, 1)
    assert "Exception" not in err and "could not" not in err


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_that_cannot_be_written(home: Path) -> None:
    with open("/dev/full", "wb") as full:
        status, _, err = run(home, *HELLO, "--json", stdout=full)
    assert status == 1 and "No space left" in err and len(err.splitlines()) == 1


@posix
def test_no_standard_streams_at_all(home: Path) -> None:
    def close() -> None:
        for descriptor in (0, 1, 2):
            os.close(descriptor)

    assert start(home, *HELLO, "--json", stdin=None, stdout=None, stderr=None, preexec_fn=close).wait(60) == 0
    # Nothing that is opened later has the number of a standard stream, over which a worker writes its output.
    later = (
        "import os, sys; from playground.__main__ import main; main(['--version']); sys.exit(os.open(os.devnull, os.O_RDONLY))"
    )
    assert subprocess.Popen([sys.executable, "-c", later], preexec_fn=close).wait(60) == 3


@posix
def test_ctrl_c_while_it_speaks(home: Path) -> None:
    process = start(home, *STORY)
    left = speaking(process)
    process.send_signal(signal.SIGINT)
    assert ended(process, left) == (130, "Cancelled.\n")
    rows = json.loads(run(home, "log", "list", "--json")[1])["generations"]
    assert [row["state"] for row in rows] in (["cancelled"], ["end"])  # it may have come to its end just then


@posix
def test_ctrl_c_in_the_terminal_while_a_worker_starts(home: Path, tmp_path: Path) -> None:
    """The terminal interrupts the workers as well, also one in which Python itself has only begun."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys, time\n"
        "if any('spawn_main' in each for each in sys.orig_argv):\n"
        f"    open({str(begun)!r}, 'w').close()\n"
        f"    while not os.path.exists({str(go)!r}):\n"
        "        time.sleep(0.01)\n"
    )
    process = start(home, *HELLO, env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}, start_new_session=True)
    while not begun.exists():
        assert process.poll() is None
        time.sleep(0.01)
    left = children(process)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.1)  # the signal has come by then; if not, nothing is found out
    go.touch()
    assert ended(process, left) == (130, "Cancelled.\n")


@posix
def test_ctrl_c_while_a_class_is_made_is_a_status_as_well(home: Path) -> None:
    """Modules full of dataclasses are what most of a start is spent on, and their methods are made of text."""
    script = (
        "import sys; from playground import cli; from playground.__main__ import main\n"
        "cli.parser = lambda only: exec('raise KeyboardInterrupt')\n"
        "sys.exit(main(['models']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PLAYGROUND_HOME": str(home)}, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (130, b"Cancelled.\n")


@posix
def test_ctrl_c_while_it_waits_for_a_line(home: Path) -> None:
    process = start(home, "chat", "starter", stdin=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"Hello\n")
    process.stdin.flush()
    assert process.stdout.readline().strip()
    left = children(process)
    process.send_signal(signal.SIGINT)
    assert ended(process, left)[0] == 130


@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_command_line_leaves_no_worker_and_loses_nothing(home: Path, number: signal.Signals) -> None:
    process = start(home, *STORY)
    left = speaking(process)
    process.send_signal(number)
    assert ended(process, left)[0] == -number
    rows = json.loads(run(home, "log", "list", "--json")[1])["generations"]
    assert [row["state"] for row in rows] == ["interrupted"]


@posix
@pytest.mark.parametrize(("number", "words"), [(signal.SIGKILL, "was killed"), (signal.SIGSEGV, "crashed")])
def test_a_worker_that_dies_is_a_sentence(home: Path, number: signal.Signals, words: str) -> None:
    process = start(home, *STORY)
    left = speaking(process)
    for each in left:
        each.send_signal(number)
    status, said = ended(process, left)
    assert status == 1 and words in said and len(said.splitlines()) == 1


@posix
def test_what_libraries_print_stays_out_of_the_json(home: Path, tmp_path: Path) -> None:
    """In the parent and in a worker alike, from its first moment on."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, os\n"
        "if any('spawn_main' in each for each in sys.orig_argv):\n"
        "    print('a library says hello', flush=True)\n"
        "    os.write(1, b'and again\\n')\n"
        "else:\n"
        "    import threading\n"
        "    start = threading.Thread.start\n"
        "    threading.Thread.start = lambda self: (print('a thread starts'), start(self))[1]\n"
    )
    status, out, _ = run(home, *HELLO, "--json", env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert status == 0
    (line,) = out.splitlines()
    assert json.loads(line)["text"]
