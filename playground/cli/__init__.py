"""The headless face: the same session as the window's, one verb a file.

Every verb takes `--json`: one object on stdout (a line each for streams), progress on stderr. Exit 0 done, 1 failed (the sentence and
the way out on stderr, no traceback), 2 wrong usage, 130 cancelled.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import os
import sys
from logging.handlers import RotatingFileHandler

from playground import __version__
from playground.cli.common import WrongUsage, json_alone, note
from playground.errors import Cancelled, PlaygroundError
from playground.paths import home

VERBS = (
    "chat",
    "compare",
    "beam",
    "next",
    "attention",
    "lens",
    "embeddings",
    "models",
    "fit",
    "quantize",
    "data",
    "train",
    "publish",
    "log",
)
"""Modules of this folder, in the order of the help. Only the one that is asked for is imported: a listing needs no sessions."""

FAILED, WRONG_USAGE, CANCELLED = 1, 2, 130


def main(argv: list[str]) -> int:
    """Runs one verb. `argv` without the program's name. Returns the exit status; argparse exits with 2 on wrong usage."""
    write_anything()
    try:
        try:
            return _run(argv)
        finally:
            if sys.stdout is not None:  # closed by whoever started us
                sys.stdout.flush()
    except (Cancelled, KeyboardInterrupt):
        note("Cancelled.")
        return CANCELLED
    except WrongUsage as error:
        note(f"playground: {error}")
        return WRONG_USAGE
    except PlaygroundError as error:
        note(f"playground: {error}")
        return FAILED
    except BrokenPipeError:
        let_go_of_stdout()  # whoever read us has gone: not our failure to report
        return FAILED
    except Exception as error:
        logging.getLogger(__name__).exception("a verb failed")
        reason = f"{type(error).__name__}: {error}".rstrip(": .")
        if isinstance(error, OSError):
            let_go_of_stdout()  # it may be what cannot be written to
            reason = error.strerror or reason
        note(f"playground: Something went wrong ({reason}). The whole story is in {home().logs}.")
        return FAILED


def _run(argv: list[str]) -> int:
    args = parser(argv[0] if argv else "").parse_args(argv)
    keep_log()
    with json_alone() if getattr(args, "json", False) else contextlib.nullcontext():
        return int(args.run(args))


def write_anything() -> None:
    """A character that the terminal's encoding lacks is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def let_go_of_stdout() -> None:
    """What is still in its buffer goes nowhere, so that the interpreter's end does not complain of it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser(only: str = "") -> argparse.ArgumentParser:
    """The parser of every verb; of one alone where `only` names it."""
    root = argparse.ArgumentParser(
        prog="playground",
        description="See what a local language model does, steer it while it speaks. Without arguments the window opens.",
    )
    root.add_argument("--version", action="version", version=f"playground {__version__}")
    verbs = root.add_subparsers(title="verbs", metavar="VERB", required=True)
    for name in (only,) if only in VERBS else VERBS:
        importlib.import_module(f"playground.cli.{name}").add(verbs)
    return root


def keep_log() -> None:
    """Log lines go to a rotating file in the data folder, or nowhere if that cannot be written."""
    root = logging.getLogger()
    if root.handlers:
        return
    try:
        home().logs.mkdir(parents=True, exist_ok=True)
        handler: logging.Handler = RotatingFileHandler(
            home().logs / "playground.log", maxBytes=2_000_000, backupCount=3, encoding="utf-8", delay=True
        )
    except OSError:
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a full disk under the log file is nobody's stack trace
