"""The quantize worker: writes GGUF files in other types, says what they would become, and computes importance matrices.

The library's quantizer cannot be stopped, so that cancelling ends this process, after its file has gone and the answer is sent.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from playground.errors import Cancelled, ModelFileError, NotFoundError, SettingError, StorageError
from playground.models import beside
from playground.models.gguf_header import GgufHeader, open_gguf
from playground.models.quantization import TYPES
from playground.protocol import CollectImatrix, Finished, Made, Progress, QuantizeGguf, SurveyTypes, TypesSurveyed
from playground.workers import imatrix, llama_tensor, quantizer
from playground.workers.base import Link
from playground.workers.quantizer import Wish

BACKGROUND = True

WATCH_S = 0.05
"""how often a running quantization looks for `Cancel`"""
TELL_S = 0.1


class Quantize:
    """The role."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._said = 0.0

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {QuantizeGguf: self.quantize, SurveyTypes: self.survey, CollectImatrix: self.collect}

    def close(self) -> None:
        pass

    def survey(self, command: SurveyTypes) -> None:
        source = _model(command.source)
        header = quantizer.read_header(source)
        wanted = command.types or tuple(quantizer.types())
        sizes = tuple(quantizer.survey(source, header, kind) for kind in wanted)
        self._link.send(TypesSurveyed(command.request, sizes))
        self._link.send(Finished(command.request))

    def quantize(self, command: QuantizeGguf) -> None:
        began = time.perf_counter()
        source, target = _model(command.source), Path(command.target).absolute()
        header = quantizer.read_header(source)
        if not command.allow_requantize and (before := quantizer.quantized_as(header)):
            raise SettingError(
                f"{source.name} is quantized already ({before}): quantizing it again loses twice.",
                "Start from the original (F16, BF16 or F32), or allow it (--allow-requantize).",
            )
        matrix = imatrix.load(Path(command.imatrix)) if command.imatrix else None
        if matrix is not None:
            matrix.refuse_other_model(header)
        wish = Wish(
            command.type,
            matrix,
            command.output_type,
            command.embedding_type,
            command.keep_output,
            command.allow_requantize,
            command.threads,
        )
        predicted = quantizer.predict(source, header, wish)
        if predicted.needs_imatrix and matrix is None:
            raise quantizer.needs_imatrix(command.type)
        part = beside.part_of(target)
        beside.need(target.parent, predicted.bytes)
        with _Ending(self._link, command.request, part) as ending:
            try:
                notes = quantizer.quantize(source, part, header, wish, self._progress(command.request, header))
                _check(part, header, predicted.bytes)
                self._link.send(Progress(command.request, 1.0, "writing to disk"))
                ending.only_if_wanted(lambda: beside.finish(part, target))
            except BaseException:
                beside.remove(part)
                raise
        seconds = time.perf_counter() - began
        if matrix is None and predicted.bits_per_weight < 4.0 and not TYPES[command.type].special:
            notes.append("Below four bits an importance matrix makes a better file of the same size (--imatrix auto).")
        self._link.send(Made(command.request, str(target), target.stat().st_size, seconds, tuple(notes)))

    def _progress(self, request: int, header: GgufHeader) -> Callable[[int, int, str], None]:
        sizes = {tensor.name: tensor.elements for tensor in header.tensors}
        whole, done, last = max(1, sum(sizes.values())), 0, ""

        def tell(number: int, count: int, name: str) -> None:
            nonlocal done, last
            done, last = done + sizes.get(last, 0), name
            self._link.send(Progress(request, done / whole, f"tensor {number} of {count}"))

        return tell

    def collect(self, command: CollectImatrix) -> None:
        began = time.perf_counter()
        source, target = _model(command.model), Path(command.target).absolute()
        text = _text(Path(command.text))
        llama_tensor.check_layout()
        stopped = False

        def stop() -> bool:
            nonlocal stopped
            stopped = stopped or self._link.cancelled(command.request)
            return stopped

        def window(done: int, count: int) -> None:
            self._link.send(Progress(command.request, done / count, f"window {done} of {count}"))

        self._link.send(Progress(command.request, 0.0, "loading the model"))
        sums, chunks = imatrix.collect(source, text, command.context, command.chunks, window, stop)
        part = beside.part_of(target)
        try:
            imatrix.save(part, sums, Path(command.text).name, chunks, command.context)
            if stop():
                raise Cancelled("Cancelled.")
            beside.finish(part, target)
        except OSError as error:
            raise StorageError(
                f"The importance matrix could not be written ({error.strerror or error}).",
                "Free some space, or choose another place.",
            ) from None
        finally:
            beside.remove(part)
        notes = []
        unused = {name: int((each.counts == 0).sum()) for name, each in sums.items() if (each.counts == 0).any()}
        if unused:
            notes.append(
                f"In {len(unused)} tensors some experts were not used by the text; they count as if every column mattered alike."
            )
        self._link.send(Made(command.request, str(target), target.stat().st_size, time.perf_counter() - began, tuple(notes)))


class _Ending:
    """While it holds, a `Cancel` (or the parent's wish to close) removes the half-made file, says so, and ends this process."""

    def __init__(self, link: Link, request: int, part: Path) -> None:
        self._link, self._request, self._part = link, request, part
        self._over = threading.Event()
        self._deciding = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="cancel", daemon=True)

    def __enter__(self) -> _Ending:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with self._deciding:  # never returns where the watcher is ending the process
            pass

    def only_if_wanted(self, act: Callable[[], None]) -> None:
        """Does the last thing, unless it was cancelled before."""
        with self._deciding:
            act()
            self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(WATCH_S):
            if self._link.pending and self._link.cancelled(self._request):
                with self._deciding:
                    if self._over.is_set():
                        return
                    beside.remove(self._part)
                    self._link.send(Finished(self._request, "cancelled"))
                    os._exit(0)


def _model(name: str) -> Path:
    path = Path(name).absolute()
    if not path.exists():
        raise NotFoundError(f"There is no file {path}.", "It may have been moved or deleted; choose it again.")
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder, not a GGUF file.", "Convert it first (--to f16).")
    return path


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotFoundError(f"The text {path} cannot be read ({error.strerror or error}).", "Choose another file.") from None
    if b"\0" in data[:4096]:
        raise ModelFileError(f"{path.name} is no text file.", "Choose a plain text in UTF-8.")
    return data.decode("utf-8", "replace")


def _check(part: Path, header: GgufHeader, size: int) -> None:
    """The library does not notice every write that failed: what it left is looked at before it gets its name."""
    try:
        whole = open_gguf(part)
    except ModelFileError:
        whole = None
    if whole is None or len(whole.tensors) != len(header.tensors) or part.stat().st_size < size * 0.98 - 4096:
        raise StorageError(
            "The result could not be written whole: the disk is full or failing.", "Free some space, or choose another place."
        )


def make(link: Link) -> Quantize:
    return Quantize(link)
