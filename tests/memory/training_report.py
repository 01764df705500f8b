"""Published training peaks against the estimate: `python -m tests.fit_report --training PEAKS.jsonl`.

The rows name a model, a method and a few settings; widths come from the models' public configurations. What a row
does not print is taken as its recipe's default (AdamW, bf16, no checkpointing). Rows without batch, sequence or
rank, with an encoder-decoder or offload, and rows marked SUSPECT by their collector are counted apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from playground.memory.shape import ModelShape, shape_from_keys
from playground.memory.training_fit import TrainingPlan, training_terms
from playground.memory.transformers_fit import weight_bytes

MIB = 1 << 20


class _Widths(NamedTuple):
    layers: int
    embd: int
    heads: int
    kv: int
    vocab: int
    ff: int
    head: int
    tied: bool
    parameters: float
    arch: str = "llama"


MODELS = {
    "llama-3.2-1b": _Widths(16, 2048, 32, 8, 128256, 8192, 64, True, 1.236),
    "llama-3.2-3b": _Widths(28, 3072, 24, 8, 128256, 8192, 128, True, 3.213),
    "llama-3.1-8b": _Widths(32, 4096, 32, 8, 128256, 14336, 128, False, 8.030),
    "llama-3.1-405b": _Widths(126, 16384, 128, 8, 128256, 53248, 128, False, 405.85),
    "gemma-2b": _Widths(18, 2048, 8, 1, 256000, 16384, 256, True, 2.506, "gemma"),
    "gemma-7b": _Widths(28, 3072, 16, 16, 256000, 24576, 256, True, 8.538, "gemma"),
    "mistral-7b": _Widths(32, 4096, 32, 8, 32000, 14336, 128, False, 7.242),
    "falcon-7b": _Widths(32, 4544, 71, 1, 65024, 18176, 64, True, 6.922, "falcon"),
    "phi-3-mini-4k-instruct": _Widths(32, 3072, 32, 32, 32064, 8192, 96, False, 3.821),
    "tiny-llama": _Widths(22, 2048, 32, 4, 32000, 5632, 64, False, 1.100),
    "llama-2-7b": _Widths(32, 4096, 32, 32, 32000, 11008, 128, False, 6.738),
    "stablelm-3b": _Widths(32, 2560, 32, 32, 50432, 6912, 80, False, 2.795),
}

_LITGPT = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "projection": "o_proj", "head": "lm_head"}


class NotEnough(Exception):
    """The row does not say what a prediction needs."""


def shape_of(name: str) -> ModelShape:
    key = re.sub(r"^(meta-llama|tiiuae|google|mistralai)/", "", name.lower()).replace(" ", "-").replace("meta-", "")
    key = key.removeprefix("unsloth/")
    found = MODELS.get(key) or next((MODELS[known] for known in MODELS if key.startswith(known)), None)
    if found is None:
        raise NotEnough(f"the widths of {name} are not known here")
    keys = {
        "block_count": found.layers, "embedding_length": found.embd, "attention.head_count": found.heads,
        "attention.head_count_kv": found.kv, "attention.key_length": found.head, "attention.value_length": found.head,
        "feed_forward_length": found.ff,
    }  # fmt: skip
    shape = shape_from_keys(found.arch, lambda key, default=None: keys.get(key, default), found.vocab, {})
    return replace(shape, tied=found.tied, parameters=round(found.parameters * 1e9))


def predicted_mib(row: Mapping[str, Any]) -> float:
    """The peak in MiB. Raises NotEnough."""
    method = str(row.get("method") or "").lower()
    if "SUSPECT" in str(row.get("note")):
        raise NotEnough("marked SUSPECT: below its own weights, gradients and optimizer states")
    if "not printed" in str(row.get("note")) and not row.get("optimizer"):
        raise NotEnough("optimizer and checkpointing differ per recipe and are not printed")
    shape = shape_of(str(row["model"]))
    if "litgpt" in str(row.get("source")) and shape.tied:
        # litgpt keeps the head as a matrix of its own
        shape = replace(shape, tied=False, parameters=shape.parameters + shape.vocab * shape.embd)
    quant = str(row.get("quant") or "")
    if "inference" in method:
        load = "nf4-double" if "dq" in quant else "nf4" if "nf4" in quant else "bf16"
        return (weight_bytes(shape, load) + 2 * 257 * sum(layer.k_width + layer.v_width for layer in shape.layers)) / MIB  # type: ignore[arg-type]
    if not row.get("seq_len") or not row.get("micro_batch"):
        raise NotEnough("batch or sequence length is not printed")
    if "offload" in method or "zero" in method or "8x" in str(row.get("gpu")):
        raise NotEnough("a sharded or offloaded run whose share is not printed")
    if row.get("oom"):
        raise NotEnough("out of memory: no peak")
    kind = "full" if method.startswith("full") else "qlora" if "qlora" in method or "nf4" in quant else "lora"
    peft = "peft/method_comparison" in str(row.get("source"))
    if kind != "full" and not row.get("rank") and "trainable_tokens" not in method:
        raise NotEnough("the rank is not printed")
    plan = TrainingPlan(
        method=kind,  # type: ignore[arg-type]
        rank=int(row.get("rank") or 1),
        targets=_targets(row),
        batch=int(row["micro_batch"]),
        sequence=int(row["seq_len"]),
        checkpointing=bool(row.get("grad_ckpt")),
        double_quant="dq" in quant,
        trained_bytes=4.0 if peft and kind != "full" else 2.0,
    )
    return training_terms(shape, plan, runtime=0).total / MIB


def _targets(row: Mapping[str, Any]) -> tuple[str, ...]:
    listed = row.get("targets")
    if not isinstance(listed, list):
        return ("q_proj", "v_proj")
    found: list[str] = []
    for name in listed:
        found += ["gate_proj", "up_proj", "down_proj"] if name == "mlp" else [_LITGPT.get(str(name), str(name))]
    return tuple(found)


def training_report(path: Path) -> str:
    out: list[str] = []
    groups: dict[str, list[float]] = {}
    apart: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        row = json.loads(line)
        name = f"{row.get('id')}  {row.get('model')}  {row.get('method')}  {row.get('gpu')}"
        if not row.get("peak_mib"):
            apart.append(f"{name}: no peak is printed")
            continue
        try:
            guess = predicted_mib(row)
        except NotEnough as reason:
            apart.append(f"{name}: {reason}")
            continue
        error = 100 * (guess - row["peak_mib"]) / row["peak_mib"]
        source = "peft (reserved, with evaluation)" if "method_comparison" in row["source"] else str(row["source"]).split()[0]
        groups.setdefault(source, []).append(error)
        out.append(f"{name:<64} predicted {guess:>10.0f} MiB   measured {row['peak_mib']:>10.0f} MiB   error {error:+7.1f} %")
    out += ["", f"not compared: {len(apart)} rows"] + [f"    {text}" for text in apart] + [""]
    out += [f"{source}: {_summary(errors)} ({len(errors)} rows)" for source, errors in groups.items()]
    every = [error for errors in groups.values() for error in errors]
    out.append(f"total: {_summary(every)}")
    return "\n".join(out)


def _summary(errors: list[float]) -> str:
    if not errors:
        return "no rows"
    ranked = sorted(abs(error) for error in errors)
    half = len(ranked) // 2
    middle = ranked[half] if len(ranked) % 2 else (ranked[half - 1] + ranked[half]) / 2
    return f"median {middle:.1f} % worst {ranked[-1]:.1f} %"
