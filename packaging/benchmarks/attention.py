"""Attention captured, against `output_attentions=True` of transformers: 12 layers of 12 heads, width 768, random weights.

Each figure is from a process of its own, which computes the text once to warm up and once more to be measured: processor seconds over those of the
plain forward pass (of transformers' eager attention; of llama.cpp without flash attention), and the growth of the process's peak memory over what it
held before, beside that of two layers' maps in float32. `bytes` are those of the file; of `output_attentions` those of the tensors.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

LENGTHS = (512, 1024, 2048)
LAYERS = HEADS = 12
WIDTH = 768
MIB = 1 << 20


def measure(rounds: int) -> dict[str, object]:
    from tests.models_made import random_model

    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        random_model(Path(folder) / "bench.gguf", "F32", 512, WIDTH, LAYERS, HEADS, HEADS, 2048, 4096)
        for length in LENGTHS:
            maps = 4 * HEADS * length * length
            found[f"{length}: two layers' maps, MiB"] = 2 * maps / MIB
            for engine, sides in (
                ("transformers", ("forward", "output_attentions", "capture")),
                ("llama.cpp", ("forward", "capture")),
            ):
                runs = {side: [_child(engine, side, length, folder) for _ in range(max(1, rounds // 3))] for side in sides}
                plain = statistics.median(each["cpu_s"] for each in runs["forward"])
                for side in sides:
                    name = f"{length}: {engine} {side}"
                    found[f"{name}, CPU s over forward" if side != "forward" else f"{name}, CPU s"] = statistics.median(
                        each["cpu_s"] - (plain if side != "forward" else 0) for each in runs[side]
                    )
                    found[f"{name}, peak MiB"] = statistics.median(each["peak"] for each in runs[side]) / MIB
                    if side != "forward":
                        found[f"{name}, bytes"] = runs[side][0]["bytes"]
    return found


def _child(engine: str, side: str, length: int, folder: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, engine, side, str(length), folder], check=True, stdout=subprocess.PIPE)
    answer: dict[str, Any] = json.loads(done.stdout.decode().splitlines()[-1])
    return answer


def _header(shape: Any, length: int) -> Any:
    from playground.inside.layout import Header, Token, encoding_for

    encoding = encoding_for(LAYERS, HEADS, shape.kv_heads, shape.width, length)
    tokens = tuple(Token(place % 200 + 3, "") for place in range(length))
    return Header(encoding, True, shape.layers, tuple(range(HEADS)), LAYERS, HEADS, shape.kv_heads, shape.width, tokens)


def _capture(source: Any, ids: list[int], folder: str) -> int:
    from playground.inside.writer import Writer

    shape = source.shape()
    writer = Writer(Path(folder) / "bench.attention", _header(shape, len(ids)))
    source.run(writer, shape, ids, lambda: False, lambda fraction: None)
    return writer.finish().stat().st_size


def _transformers(side: str, ids: list[int], folder: str) -> Callable[[], int]:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from playground.workers.attention_torch import TorchAttention

    config = LlamaConfig(
        vocab_size=512, hidden_size=WIDTH, intermediate_size=2048, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=HEADS, max_position_embeddings=4096,
    )  # fmt: skip
    torch.manual_seed(0)
    net = LlamaForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32).eval().requires_grad_(False)
    if side == "capture":
        source = TorchAttention(net, "bench")
        return lambda: _capture(source, ids, folder)

    def forward() -> int:
        with torch.no_grad():
            out = net.model(torch.tensor([ids]), output_attentions=side == "output_attentions", use_cache=False)
        return sum(each.nbytes for each in out.attentions or ())

    return forward


def _llama(side: str, ids: list[int], folder: str) -> Callable[[], int]:
    from playground.params import ContextSettings
    from playground.workers.attention_llama import LlamaAttention, _Watcher
    from playground.workers.llama_lib import C
    from playground.workers.llama_model import Model

    model = Model(Path(folder) / "bench.gguf", ContextSettings(context=512))
    source = LlamaAttention(model)
    shape = source.shape()
    if side == "capture":
        return lambda: _capture(source, ids, folder)

    def forward() -> int:
        nothing = _Watcher()
        nothing.callback = C.ggml_backend_sched_eval_callback(0)
        source._decode(ids, source._chunk(shape, len(ids)), nothing, lambda: False)
        return 0

    return forward


def main(engine: str, side: str, length: int, folder: str) -> None:
    ids = [place % 200 + 3 for place in range(length)]
    act = (_transformers if engine == "transformers" else _llama)(side, ids, folder)
    gc.collect()
    process = psutil.Process()
    before, status = process.memory_info().rss, Path("/proc/self/status")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    size = act()
    peak = int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
    started = time.process_time()
    act()
    print(json.dumps({"cpu_s": time.process_time() - started, "peak": peak - before, "bytes": size}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
