"""The headless face: the same session as the window's, one verb a file.

Every verb takes `--json`: one object on stdout (a line each for streams), progress on stderr. Exit 0 done, 1 failed (the sentence and
the way out on stderr, no traceback), 2 wrong usage, 130 cancelled.
"""

from __future__ import annotations

import argparse
import logging
import sys
from logging.handlers import RotatingFileHandler

from playground import __version__
from playground.cli import chat, fit, log, models
from playground.errors import Cancelled, PlaygroundError
from playground.paths import home

VERBS = (chat, models, fit, log)

FAILED, CANCELLED = 1, 130


def main(argv: list[str]) -> int:
    """Runs one verb. `argv` without the program's name. Returns the exit status; argparse exits with 2 on wrong usage."""
    args = parser().parse_args(argv)
    keep_log()
    try:
        return int(args.run(args))
    except (Cancelled, KeyboardInterrupt):
        print("Cancelled.", file=sys.stderr)
        return CANCELLED
    except PlaygroundError as error:
        print(f"playground: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has gone: not our failure to report
        return FAILED
    except Exception as error:
        logging.getLogger(__name__).exception("a verb failed")
        print(f"playground: {type(error).__name__}: {error}. The whole story is in {home().logs}.", file=sys.stderr)
        return FAILED


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="playground",
        description="See what a local language model does, steer it while it speaks. Without arguments the window opens.",
    )
    root.add_argument("--version", action="version", version=f"playground {__version__}")
    verbs = root.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in VERBS:
        verb.add(verbs)
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
