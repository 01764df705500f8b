"""A role that does what workers should not: dies in every way, hangs, prints, sends garbage. For the tests of the parent's end."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from playground.errors import ModelFileError
from playground.protocol import Finished, Progress, Tokenize, Tokenized, encode


class Misbehaving:
    """`Tokenize.text` says what to do."""

    def __init__(self, link: Any) -> None:
        self._link = link

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {Tokenize: self._do}

    def close(self) -> None: ...

    def _do(self, command: Tokenize) -> None:
        match command.text:
            case "segfault":
                signal.signal(signal.SIGSEGV, signal.SIG_DFL)
                ctypes.string_at(0)
            case "abort":
                os.write(2, b"/home/builder/ggml/src/ggml.c:42: GGML_ASSERT(n > 0) failed\n")
                os.abort()
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit 1":
                os._exit(1)
            case "exit 0":
                os._exit(0)
            case "raise":
                raise ZeroDivisionError("division by zero")
            case "refuse":
                raise ModelFileError("The file is a poem.", "Choose another one.")
            case "no memory":
                raise MemoryError
            case "print":
                print("printed to stdout")
                print("printed to stderr", file=sys.stderr)
                os.write(1, "raw äöü\n".encode())
            case "garbage":
                for data in (b"", b"\xff\xfe", b"{}", b'{"Nonsense":{}}', b'{"Finished":{"x":1}}', b"[" * 100_000):
                    self._link._connection.send_bytes(data)
                told = encode(Progress(command.request, 0.5, "beside garbage"))
                self._link._connection.send_bytes(told + b'\n{"Nonsense":{}}\n' + told)
            case "hang":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                self._link.send(Progress(command.request, 0.5))
                while True:
                    time.sleep(60)
            case "until cancelled":
                self._link.send(Progress(command.request, 0.5))
                while not self._link.cancelled(command.request):
                    self._link.wait(60)
                self._link.send(Finished(command.request, "cancelled"))
                return
        self._link.send(Tokenized(command.request, (), command.text))


def make(link: Any) -> Misbehaving:
    return Misbehaving(link)
