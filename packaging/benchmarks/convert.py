"""A folder of the 1B class converted to GGUF, against a plain copy of the same bytes: rate in bytes written a second, peak memory.

Both sides end with their file on the disk (fsync), as the program's own does; the copy is `shutil.copyfile`, which the system does without
bringing anything into the process. Random weights in bf16, in the shape of Llama 3.2 1B, with the starter's tokenizer.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pairs import in_turn, ratio

from playground import conversion
from playground.paths import resources

WIDTH, HIDDEN, LAYERS, HEADS, KEYS, HEAD, VOCABULARY = 2048, 8192, 16, 32, 8, 64, 128_256
ROWS = 1 << 12


def measure(rounds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model"
        made(source)
        found = {kind: _measure(source, kind, rounds) for kind in ("bf16", "f16", "f32")}
    return {f"{kind} {name}": value for kind, values in found.items() for name, value in values.items()}


def _measure(source: Path, kind: str, rounds: int) -> dict[str, object]:
    target, weights = source.parent / f"{kind}.gguf", source / "model.safetensors"
    peaks: list[float] = []

    def ours() -> float:
        done = subprocess.run([sys.executable, __file__, str(source), str(target), kind], stdout=subprocess.PIPE, check=True)
        found = json.loads(done.stdout)
        peaks.append(found["peak"])
        return float(target.stat().st_size / found["seconds"])

    def copied(what: Path) -> float:
        copy = source.parent / "copy"
        copy.unlink(missing_ok=True)
        began = time.perf_counter()
        shutil.copyfile(what, copy)
        with copy.open("rb+") as file:
            os.fsync(file.fileno())
        return what.stat().st_size / (time.perf_counter() - began)

    ours()
    # What is copied is as large as what is written: of f32 the result, which is twice the source.
    mine, other = in_turn(rounds, ours, lambda: copied(target if kind == "f32" else weights))
    target.unlink()
    return {
        "converted_mb_per_s": float(np.median(mine)) / 1e6,
        "copied_mb_per_s": float(np.median(other)) / 1e6,
        "peak_mb": max(peaks) / 1e6,
        **ratio(mine, other),
    }


def made(folder: Path) -> None:
    """A model folder with its weights in one file."""
    shutil.copytree(resources() / "starter", folder, ignore=shutil.ignore_patterns("*.safetensors", "*.gguf", "*.txt", "*.md"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "intermediate_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEYS,
        "head_dim": HEAD,
        "tie_word_embeddings": True,
        "dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    shapes = dict(_shapes())
    table, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        table[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    head = json.dumps(table).encode()
    random = np.random.default_rng(0)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for shape in shapes.values():
            left = int(np.prod(shape))
            while left:
                count = min(left, ROWS * WIDTH)
                values = random.standard_normal(count, np.float32) * np.float32(0.02)
                file.write((values.view(np.uint32) >> 16).astype(np.uint16))
                left -= count


def _shapes() -> Iterator[tuple[str, list[int]]]:
    yield "model.embed_tokens.weight", [VOCABULARY, WIDTH]
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", [WIDTH]
        yield at + "post_attention_layernorm.weight", [WIDTH]
        yield at + "self_attn.q_proj.weight", [HEADS * HEAD, WIDTH]
        yield at + "self_attn.k_proj.weight", [KEYS * HEAD, WIDTH]
        yield at + "self_attn.v_proj.weight", [KEYS * HEAD, WIDTH]
        yield at + "self_attn.o_proj.weight", [WIDTH, HEADS * HEAD]
        yield at + "mlp.gate_proj.weight", [HIDDEN, WIDTH]
        yield at + "mlp.up_proj.weight", [HIDDEN, WIDTH]
        yield at + "mlp.down_proj.weight", [WIDTH, HIDDEN]
    yield "model.norm.weight", [WIDTH]


def main(source: str, target: str, kind: str) -> None:
    """One conversion in a process of its own, so that its peak is its own."""
    report = conversion.convert(Path(source), Path(target), kind)
    print(json.dumps({"seconds": report.seconds, "peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


if __name__ == "__main__":
    main(*sys.argv[1:])
