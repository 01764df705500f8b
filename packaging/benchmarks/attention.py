"""Attention captured, against `output_attentions=True` of transformers and against BertViz: 12 layers of 12 heads, width 768, random weights.

Each figure is from a process of its own, which computes a few tokens to have the libraries in memory, then the text twice: the first time for the
growth of its peak memory, which is told beside that of two layers' maps in float32, the second for processor seconds over those of the plain forward
pass (of transformers' eager attention; of llama.cpp without flash attention). "Without maps": every token takes its own value, and
no attention is computed: what the model alone takes. `bytes` are those of the file; of `output_attentions` those of the tensors.

BertViz gets the same attention of a short text and makes HTML of it, in a process that may take so much memory and no more; it is fetched from the
registry for this alone, into a folder that goes again. The same text as a capture is opened and composed to the grid of all heads.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import psutil

LENGTHS, QUICK_LENGTHS = (512, 1024, 2048), (128, 640)
DRAWN, QUICK_DRAWN = (128, 256, 512), (64,)
"""tokens of the texts that BertViz draws"""
BOTH_VIEWS = 256
"""tokens up to which both of its views are drawn"""
LAYERS = HEADS = 12
WIDTH = 768
MIB = 1 << 20
BERTVIZ = "bertviz==1.4.1"
BERTVIZ_BYTES = 6 << 30
"""of memory that BertViz may take beside what Python and its libraries hold"""
PATIENCE = 240.0
"""seconds for one figure"""
SIDE, GAP = 24, 2
UBATCH = 512
"""tokens that llama.cpp computes at a time where nothing else is asked for"""
FEW = 16
"""tokens that are computed before anything is measured"""


def measure(rounds: int, quick: bool = False) -> dict[str, object]:
    from tests.models_made import random_model

    found: dict[str, object] = {}
    lengths = QUICK_LENGTHS if quick else LENGTHS
    with tempfile.TemporaryDirectory() as folder:
        random_model(Path(folder) / "bench.gguf", "F32", 512, WIDTH, LAYERS, HEADS, HEADS, 2048, 4096)
        sizes = {length: _engines(found, length, folder, 1 if quick else max(1, rounds // 7)) for length in lengths}
        long = [each for each in lengths if each > 512]
        if len(long) > 1:
            found["bytes of a capture a token, longest over shortest above 512"] = (sizes[long[-1]] / long[-1]) / (
                sizes[long[0]] / long[0]
            )
        _drawn(found, folder, QUICK_DRAWN if quick else DRAWN)
        layers, length = (12, 1024) if quick else (32, 2048)
        found |= {
            f"{layers} x {layers} heads, {length} tokens: {name}": value
            for name, value in _opened(folder, layers, length).items()
        }
    return found


def _engines(found: dict[str, object], length: int, folder: str, rounds: int) -> int:
    """The engines' figures at a length; the bytes of a capture."""
    maps = 4 * HEADS * length * length
    found[f"{length}: two layers' maps, MiB"] = 2 * maps / MIB
    size = 0
    for engine, sides in (
        ("transformers", ("forward", "without maps", "output_attentions", "capture")),
        ("llama.cpp", ("forward", "capture")),
    ):
        runs = {side: [_child(engine, side, str(length), folder) for _ in range(rounds)] for side in sides}
        plain = statistics.median(each["cpu_s"] for each in runs["forward"])
        for side in sides:
            name = f"{length}: {engine} {side}"
            seconds = statistics.median(each["cpu_s"] for each in runs[side])
            found[f"{name}, CPU s" if side == "forward" else f"{name}, CPU s over forward"] = (
                seconds if side == "forward" else seconds - plain
            )
            found[f"{name}, s"] = statistics.median(each["wall_s"] for each in runs[side])
            found[f"{name}, peak MiB"] = statistics.median(each["peak"] for each in runs[side]) / MIB
            if side not in ("forward", "without maps"):
                found[f"{name}, bytes"] = runs[side][0]["bytes"]
                size = runs[side][0]["bytes"]
    return size


def _child(*arguments: str) -> dict[str, Any]:
    """In a worker's environment: threads that wait do not spin there."""
    from playground.workers.base import ENVIRONMENT

    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        env={**ENVIRONMENT, **os.environ},
    )
    answer: dict[str, Any] = json.loads(done.stdout.decode().splitlines()[-1])
    return answer


# -- captures


def _header(shape: Any, length: int, layers: int = LAYERS, heads: int = HEADS) -> Any:
    from playground.inside.layout import Header, Token, encoding_for

    encoding = encoding_for(layers, heads, shape.kv_heads, shape.width, length)
    tokens = tuple(Token(place % 200 + 3, "") for place in range(length))
    return Header(encoding, True, tuple(range(layers)), tuple(range(heads)), layers, heads, shape.kv_heads, shape.width, tokens)


def _capture(source: Any, ids: list[int], folder: str) -> int:
    from playground.inside.writer import Writer

    shape = source.shape()
    writer = Writer(Path(folder) / "bench.attention", _header(shape, len(ids)))
    source.run(writer, shape, ids, lambda: False, lambda fraction: None)
    return writer.finish().stat().st_size


def _net() -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=512, hidden_size=WIDTH, intermediate_size=2048, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=HEADS, max_position_embeddings=4096,
    )  # fmt: skip
    torch.manual_seed(0)
    return LlamaForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32).eval().requires_grad_(False)


def _transformers(side: str, folder: str) -> Callable[[list[int]], int]:
    import torch

    from playground.workers.attention_torch import TorchAttention, eager_attention

    net = _net()
    if side == "capture":
        source = TorchAttention(net, "bench")
        return lambda ids: _capture(source, ids, folder)

    def values_alone(layer: int, module: Any, eager: Any, query: Any, key: Any, value: Any, more: dict[str, Any]) -> Any:
        return value.transpose(1, 2).contiguous(), None

    def forward(ids: list[int]) -> int:
        with torch.no_grad(), eager_attention(net, values_alone) if side == "without maps" else nullcontext():
            out = net.model(torch.tensor([ids]), output_attentions=side == "output_attentions", use_cache=False)
        return sum(each.nbytes for each in out.attentions or ())

    return forward


def _llama(side: str, folder: str) -> Callable[[list[int]], int]:
    from playground.params import ContextSettings
    from playground.workers.attention_llama import LlamaAttention, _Watcher
    from playground.workers.llama_lib import C
    from playground.workers.llama_model import Model

    model = Model(Path(folder) / "bench.gguf", ContextSettings(context=512))
    source = LlamaAttention(model)
    if side == "capture":
        return lambda ids: _capture(source, ids, folder)

    def forward(ids: list[int]) -> int:
        nothing = _Watcher()
        nothing.callback = C.ggml_backend_sched_eval_callback(0)
        source._decode(ids, min(UBATCH, len(ids)), nothing, lambda: False)
        return 0

    return forward


def _figures(act: Callable[[list[int]], int], length: int) -> dict[str, Any]:
    ids = [place % 200 + 3 for place in range(length)]
    act(ids[:FEW])
    gc.collect()
    process = psutil.Process()
    before, status = process.memory_info().rss, Path("/proc/self/status")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    size = act(ids)
    peak = int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
    cpu, wall = time.process_time(), time.perf_counter()
    act(ids)
    return {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak": peak - before,
        "bytes": size,
    }


# -- the first picture


def _picture(path: Path) -> float:
    """Seconds from the file to the grid of all heads in pixels."""
    from playground.inside import atlas
    from playground.inside.capture import Capture

    started = time.perf_counter()
    capture = Capture(path)
    colours = np.arange(256, dtype=np.uint32) * 0x010101
    atlas.compose(atlas.fitted(capture.thumbnails(), SIDE), colours, SIDE, GAP, 0, 0)
    seconds = time.perf_counter() - started
    capture.close()
    return seconds


def _opened(folder: str, count: int, length: int) -> dict[str, object]:
    """`count` x `count` heads of queries and keys, of which one layer's are written and the others holes in the file."""
    from playground.inside.capture import Capture
    from playground.inside.layout import encoded, layout
    from playground.workers.attention import Shape

    header = _header(Shape(tuple(range(count)), count, count // 4, 64), length, count, count)
    start = encoded(header)
    places = layout(header, len(start))
    rng = np.random.default_rng(0)
    path = Path(folder) / "large.attention"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(places.bytes)
        for name in ("thumbs", "queries", "keys"):
            array = places.arrays[name]
            file.seek(array.offset)
            shape = array.shape if name == "thumbs" else array.shape[1:]
            values = rng.integers(0, 256, shape) if name == "thumbs" else rng.normal(size=shape)
            file.write(values.astype(array.dtype).tobytes())
        rows = np.arange(length)
        file.seek(places.arrays["bounds"].offset)
        file.write(np.stack([rows * 0, rows], axis=1).astype("<i4").tobytes())
        file.seek(places.arrays["rules"].offset)
        file.write(np.array([0.125, 0, 1], "<f4").tobytes())
        file.seek(places.arrays["sinks"].offset)
        file.write(np.full(places.arrays["sinks"].shape, np.nan, "<f4").tobytes())
    seconds = _picture(path)
    capture = Capture(path)
    started = time.perf_counter()
    capture.codes(0, 0)
    first = time.perf_counter() - started
    capture.close()
    return {"bytes": places.bytes, "grid of all heads, s": seconds, "one head computed again, s": first}


# -- BertViz


def _drawn(found: dict[str, object], folder: str, lengths: tuple[int, ...]) -> None:
    """What BertViz makes of the same attention, and what the capture takes to be seen."""
    library = Path(folder) / "bertviz"
    got = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(library), BERTVIZ],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    for length in lengths:
        capture = _child("picture", "capture", str(length), folder)
        found[f"{length}: capture, s to the grid of heads"] = capture["wall_s"]
        found[f"{length}: capture, bytes"] = capture["bytes"]
        for view in ("head_view", "model_view") if length <= BOTH_VIEWS else ("head_view",):  # a minute and a gigabyte each
            if got.returncode:
                found[f"{length}: BertViz {view}"] = "not to be had: " + got.stderr.decode().strip().splitlines()[-1][:80]
                continue
            try:
                one = _child(view, str(library), str(length), folder)
            except subprocess.TimeoutExpired:
                one = {"failed": f"nothing after {PATIENCE:.0f} s"}
            except subprocess.CalledProcessError as error:
                one = {"failed": f"ended with {error.returncode}"}
            if "failed" in one:
                found[f"{length}: BertViz {view}"] = one["failed"]
                continue
            found[f"{length}: BertViz {view}, s to HTML"] = one["wall_s"]
            found[f"{length}: BertViz {view}, peak MiB"] = one["peak"] / MIB
            found[f"{length}: BertViz {view}, bytes of HTML"] = one["bytes"]
            found[f"{length}: BertViz {view}, bytes over the capture's"] = one["bytes"] / capture["bytes"]


def _weights(length: int) -> list[Any]:
    """Attention of a text: a map [1, heads, tokens, tokens] a layer, as transformers gives it out."""
    import torch

    rng = np.random.default_rng(0)
    found = []
    for _ in range(LAYERS):
        maps = rng.exponential(size=(1, HEADS, length, length)).astype(np.float32) ** 2 * np.tri(length, dtype=np.float32)
        found.append(torch.from_numpy(maps / maps.sum(-1, keepdims=True)))
    return found


def _seen(length: int, folder: str) -> dict[str, Any]:
    from playground.inside.writer import Writer
    from playground.workers.attention import Shape

    path = Path(folder) / f"seen-{length}.attention"
    writer = Writer(path, _header(Shape(tuple(range(LAYERS)), HEADS, HEADS, WIDTH // HEADS), length))
    for layer, maps in enumerate(_weights(length)):
        writer.rows(layer, 0, maps[0].numpy())
    writer.finish()
    return {"wall_s": _picture(path), "bytes": path.stat().st_size}


def _html(view: str, library: str, length: int) -> dict[str, Any]:
    """BertViz in this process, which may take `BERTVIZ_BYTES` more than it has and is the first to go where memory ends."""
    shown = types.ModuleType("IPython.core.display")
    for name in ("HTML", "Javascript"):  # a notebook's, of which the text alone is wanted
        setattr(shown, name, type(name, (), {"__init__": lambda self, data="", **more: setattr(self, "data", data)}))
    shown.display = lambda *args, **more: None  # type: ignore[attr-defined]
    for name in ("IPython", "IPython.core", "IPython.core.display", "IPython.display"):
        sys.modules[name] = shown if "display" in name else types.ModuleType(name)
    sys.path.insert(0, library)
    weights = _weights(length)
    tokens = [f"t{place}" for place in range(length)]
    import importlib

    draw = getattr(importlib.import_module(f"bertviz.{view}"), view)
    Path("/proc/self/oom_score_adj").write_text("900")
    room = psutil.Process().memory_info().vms + BERTVIZ_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    before = psutil.Process().memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")
    started = time.perf_counter()
    try:
        page = draw(weights, tokens, html_action="return").data
    except (MemoryError, RuntimeError) as error:
        return {"failed": f"{type(error).__name__} with {BERTVIZ_BYTES / (1 << 30):.0f} GiB to take"}
    seconds = time.perf_counter() - started
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    return {"wall_s": seconds, "peak": peak - before, "bytes": len(page)}


def main(engine: str, side: str, length: int, folder: str) -> None:
    if engine == "picture":
        answer = _seen(length, folder)
    elif engine.endswith("_view"):
        answer = _html(engine, side, length)
    else:
        answer = _figures((_transformers if engine == "transformers" else _llama)(side, folder), length)
    print(json.dumps(answer), flush=True)
    os._exit(0)  # gigabytes of text are not worth being taken apart


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
