"""Predicted against printed: `python -m tests.fit_report LOAD_LOGS.jsonl`, or `--training PEAKS.jsonl`.

Each row of the load logs gives a model's hyperparameters, its context settings and the buffers llama.cpp printed.
KV cache, compute and output buffers are predicted from the former; weights are taken as printed. Settings that a
log does not print (the split over GPUs, which tensors stayed on the host, a full-size window cache) are read from
where the weights lie, or from the cell counts. Rows whose printed fields do not suffice are counted apart.
"""

from __future__ import annotations

import datetime
import itertools
import json
import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from playground.memory.buffers import Engine, Placement, engine_buffers
from playground.memory.kv_cache import CachePlan
from playground.memory.shape import ModelShape, shape_from_keys
from playground.memory.traits import EngineTraits
from playground.models.ggml_types import BY_NAME

MIB = 1 << 20


class NotEnough(Exception):
    """The row's printed fields do not determine a prediction; the text says which."""


@dataclass(frozen=True)
class Line:
    """One term of one device, in MiB."""

    device: str
    term: str
    predicted: float
    printed: float

    @property
    def error(self) -> float:
        """Relative error in percent; 0 where nothing was printed and nothing predicted."""
        if self.printed == 0:
            return 0.0 if self.predicted < 0.01 else 100.0
        return 100 * (self.predicted - self.printed) / self.printed


# --- from a row to a prediction --------------------------------------------------------------------------------------


def build_number(row: Mapping[str, Any]) -> int:
    """llama.cpp's build number, from the row, or bounded by what only later builds print."""
    text = f"{row.get('build') or ''} {row.get('engine') or ''}"
    if match := re.search(r"\bb?(\d{4,5})\b", text):
        return int(match[1])
    low, high = _build_bounds(row)
    if row.get("date") and low < high:
        return min(max(_build_on(str(row["date"])), low), high - 1)
    return {5250: 5600, 5916: 6300}.get(low, low)


_BUILDS = (
    ("2023-11-01", 1470), ("2024-01-29", 2000), ("2024-04-20", 2700), ("2024-08-01", 3500), ("2024-10-31", 4000),
    ("2024-12-30", 4400), ("2025-04-01", 5010), ("2025-05-27", 5500), ("2025-07-27", 6000), ("2025-09-17", 6500),
    ("2025-11-09", 7000), ("2025-12-20", 7480), ("2026-02-10", 7990), ("2026-08-01", 10000),
)  # fmt: skip


def _build_on(date: str) -> int:
    """About which build was current on a day ("2025-05-09")."""
    try:
        at = datetime.date.fromisoformat(date[:10]).toordinal()
    except ValueError:
        return _BUILDS[-1][1]
    days = [(datetime.date.fromisoformat(day).toordinal(), number) for day, number in _BUILDS]
    for (first, low), (last, high) in itertools.pairwise(days):
        if at < last:
            return max(low, round(low + (high - low) * (at - first) / (last - first)))
    return days[-1][1]


def _build_bounds(row: Mapping[str, Any]) -> tuple[int, int]:
    """The first build that prints what this row prints, and the first that would print it otherwise."""
    context, actual = row["context"], row["actual"]
    caches = actual.get("kv_self") or [{}]
    kind, seqs = str(caches[0].get("kind", "")), str(caches[0].get("seqs", ""))
    if kind == "llama_kv_cache":
        return 7000, 20000
    if context.get("kv_unified") is not None or "/" in seqs:
        return 5916, 6980
    if kind == "llama_kv_cache_unified":
        return 5250, 5916
    if context.get("n_ctx_per_seq") is not None:
        return 3900, 5250
    return 1470, 3900 if "llama_kv" not in kind else 5250


def traits_of(row: Mapping[str, Any]) -> EngineTraits:
    if "ik_llama" in str(row.get("engine")):
        return EngineTraits(
            mask_f16=False, fused_glu=False, index_inputs=False, embedding_input=False, always_gather=True, mask_rows=32,
            flash_scratch=False, late_gather=False, keys_last=False, rotated_cache=False,
            mla_values=True, split_qkv=True, fork=True,
            fused_experts=bool(row["context"].get("fused_moe")),
        )  # fmt: skip
    build = build_number(row)
    return EngineTraits(
        mask_f16=build >= 9000,
        mask_cast="ipex" not in str(row.get("engine")),
        fused_glu=build >= 5780,
        index_inputs=build >= 6074,
        embedding_input=build >= 7650,
        always_gather=True,
        mask_rows=64 if build < 7000 else 1,
        flash_scratch=build >= 9000,
        mla_values=build < 7800,
        split_qkv=build < 5720,
        late_gather=build >= 8000,
        keys_last=build >= 8000,
        rotated_cache=build >= 8300,
    )


def shape_of(row: Mapping[str, Any]) -> ModelShape:
    h = {key: value for key, value in row["hparams"].items() if value is not None}
    arch = str(row["model"].get("arch") or "")
    for needed in ("n_embd", "n_layer", "n_head", "n_vocab"):
        if not h.get(needed):
            raise NotEnough(f"{needed} is not printed")
    prefix = f"{arch}."
    printed = {k[len(prefix) :]: v for k, v in (row.get("gguf_kv") or {}).items() if k.startswith(prefix)}
    heads = _numbers(h["n_head"])
    keys = {
        "block_count": h["n_layer"],
        "embedding_length": h["n_embd"],
        "attention.head_count": heads,
        "attention.head_count_kv": _numbers(h.get("n_head_kv", heads)),
        "attention.key_length": h.get("n_embd_head_k"),
        "attention.value_length": h.get("n_embd_head_v"),
        "feed_forward_length": _numbers(h.get("n_ff", 0)),
        "attention.sliding_window": h.get("n_swa") or None,
        "rope.dimension_count": h.get("n_rot"),
        "expert_count": h.get("n_expert"),
        "expert_used_count": h.get("n_expert_used"),
        "expert_feed_forward_length": h.get("n_ff_exp") or None,
        "expert_shared_count": h.get("n_expert_shared"),
        "expert_shared_feed_forward_length": h.get("n_ff_shexp") or None,
        "leading_dense_block_count": h.get("n_layer_dense_lead"),
        "attention.q_lora_rank": h.get("n_lora_q"),
        "attention.kv_lora_rank": h.get("n_lora_kv"),
        "ssm.conv_kernel": h.get("ssm_d_conv"),
        "ssm.inner_size": h.get("ssm_d_inner"),
        "ssm.state_size": h.get("ssm_d_state"),
        "ssm.time_step_rank": h.get("ssm_dt_rank"),
        "ssm.group_count": h.get("ssm_n_group"),
        "context_length": h.get("n_ctx_train"),
    }
    for key, value in printed.items():
        if keys.get(key) is None:
            keys[key] = value
    if h.get("n_embd_head_k_mla"):
        keys["attention.key_length_mla"] = h["n_embd_head_k_mla"]
        keys["attention.value_length_mla"] = h.get("n_embd_head_v_mla")
    if printed.get("expert_weights_norm") is False:
        keys["expert_weights_norm"] = False

    def get(key: str, default: Any = None) -> Any:
        value = keys.get(key)
        return default if value is None else value

    usual = _bytes_per_weight(row)
    shape = shape_from_keys(arch, get, int(h["n_vocab"]), {}, bytes_per_weight=usual)
    return replace(
        shape, tensors={"output.weight": round(shape.embd * shape.vocab * _output_bytes_per_weight(row, shape.embd, usual))}
    )


def _numbers(value: Any) -> Any:
    """Per-layer values come as a number, a list, or the text "[8, 8, ...]"."""
    if isinstance(value, str):
        found = [int(text) for text in re.findall(r"\d+", value)]
        return found if value.strip().startswith("[") else (found[0] if found else 0)
    return value


def _bytes_per_weight(row: Mapping[str, Any]) -> float:
    kinds = row["model"].get("tensor_types") or {}
    known = {kind: count for kind, count in kinds.items() if kind.lower() in BY_NAME and kind != "f32"}
    if known:
        return BY_NAME[max(known, key=lambda kind: known[kind]).lower()].bytes_per_element
    bpw = row["model"].get("bpw")
    return float(bpw) / 8 if bpw else 0.6


def _output_bytes_per_weight(row: Mapping[str, Any], embd: int, usual: float) -> float:
    """llama.cpp quantises the head as Q6_K in every mixture that has that format (llama-quant.cpp), else as the rest."""
    kinds = {kind.lower() for kind in row["model"].get("tensor_types") or {}}
    for kind in ("q6_k", "q5_k"):
        if kind in kinds and embd % 256 == 0:
            return BY_NAME[kind].bytes_per_element
    return BY_NAME["q8_0"].bytes_per_element if "q8_0" in kinds else usual


@dataclass(frozen=True)
class Prediction:
    devices: tuple[str, ...]
    kv: dict[str, float]
    compute: dict[str, float]
    output: dict[str, float]


def predict(row: Mapping[str, Any]) -> Prediction:
    """The three terms per printed device, in MiB. Raises NotEnough."""
    context, traits, shape = row["context"], traits_of(row), shape_of(row)
    fork = "ik_llama" in str(row.get("engine"))
    if not context.get("n_ctx"):
        raise NotEnough("n_ctx is not printed")
    if fork and (context.get("mla_attn") or context.get("attn_max_b")):
        raise NotEnough("the fork's own attention (mla_attn, attn_max_b), which llama.cpp does not have")
    if shape.encoder and build_number(row) < 5600:
        shape = replace(shape, has_cache=True)  # made, though never used, until 2025-06
    weights = _by_device(row["actual"].get("model_buffers"))
    gpus = tuple(sorted(name for name in _printed_devices(row) if _is_gpu(name)))
    place = placement(row, shape, weights, gpus)
    plan = cache_plan(row, fork)
    engine = Engine(
        traits=traits,
        embeddings=bool(re.search("ollama|llamafile", str(row.get("engine")))),
        op_offload=not fork,
        metal="Metal" in "".join(gpus) and build_number(row) >= 6700,
        host_alignment=32,
    )
    batch = int(context.get("n_batch") or 2048)
    found = engine_buffers(shape, plan, batch, place, engine)
    host = _host_buffer_name(row, gpus)
    names = (*gpus, host)
    cache_host = next((name for name in _by_device(row["actual"].get("kv_buffers")) if not _is_gpu(name)), "CPU")
    kv = dict(zip((*gpus, cache_host), (n / MIB for n in found.kv), strict=True))
    compute = dict(zip(names, (n / MIB for n in found.compute), strict=True))
    output_host = next(iter(_by_device(row["actual"].get("output_buffers"))), host)
    return Prediction(names, kv, compute, {output_host: found.output / MIB})


def cache_plan(row: Mapping[str, Any], fork: bool) -> CachePlan:
    context, build = row["context"], build_number(row)
    sequences = int(context.get("n_seq_max") or 1)
    unified = context.get("kv_unified")
    streams = str(unified).lower() == "false" and not fork
    flash = _flash(row)
    ubatch = min(int(context.get("n_ubatch") or 512), int(context.get("n_batch") or 2048))
    caches = row["actual"].get("kv_self") or []
    full = context.get("swa_full")
    cells = [cache.get("cells") for cache in caches if cache.get("cells")]
    if full is None and len(cells) > 1:
        full = len(set(cells)) == 1
    batch = int(context.get("n_batch") or 2048) if 5400 <= build < 5550 else ubatch
    kinds = [str(context.get(f"type_{side}") or "f16").lower() for side in "kv"]
    for kind in kinds:
        if kind not in BY_NAME:
            raise NotEnough(f"the KV type {kind} is not llama.cpp's")
    return CachePlan(
        context=int(context["n_ctx"]),
        sequences=sequences,
        unified=not streams,
        micro_batch=batch if batch != ubatch else ubatch,
        type_k=kinds[0],
        type_v=kinds[1],
        flash=flash,
        full_window=bool(full),
        one_cache=fork or build < 5400,
        latent_values=traits_of(row).mla_values,
        pad=256 if flash or build >= 6980 else 32,
    )


def _flash(row: Mapping[str, Any]) -> bool:
    if "ipex" in str(row.get("engine")):
        return True  # its SYCL build computes attention in one fused kernel, whatever the log says
    value = row["context"].get("flash_attn")
    if isinstance(value, str):
        return value.lower() in ("1", "true", "auto", "on", "enabled")
    return bool(value)


def placement(row: Mapping[str, Any], shape: ModelShape, weights: dict[str, float], gpus: tuple[str, ...]) -> Placement:
    """Where the layers lie: as many as were offloaded, over the GPUs as the printed weights lie."""
    count = len(shape.layers)
    if not gpus:
        return Placement((-1,) * count, -1, gpus=0)
    offloaded = row.get("layers_offloaded")
    if offloaded is None:
        given = row.get("n_gpu_layers_arg")
        offloaded = min(int(given), count + 1) if given is not None and int(given) >= 0 else count + 1
    offloaded = int(offloaded)
    host_weights = sum(size for name, size in weights.items() if name not in gpus)
    device = sum(weights.get(name, 0.0) for name in gpus)
    experts_on_host = shape.experts > 0 and offloaded > count and host_weights > max(0.15 * device, 1.5 * _table(shape))
    old = build_number(row) < 7300
    output = 0 if offloaded > count else (-1 if old or offloaded == 0 else 0)
    layers = min(offloaded, count) if old or offloaded > count else max(offloaded - 1, 0)
    if len(gpus) == 1:
        homes = [-1] * (count - layers) + [0] * layers
    else:
        homes = [-1] * (count - layers) + _shared(shape, layers, [weights.get(name, 0.0) for name in gpus], output >= 0)
        output = len(gpus) - 1 if output >= 0 else -1
    experts = tuple(-1 if experts_on_host else home for home in homes)
    nkvo = str(row["context"].get("kv_offload")).lower() in ("0", "false")
    return Placement(tuple(homes), output, experts, len(gpus), nkvo, experts_on_host)


def _table(shape: ModelShape) -> float:
    return shape.embedding_bytes / MIB


def _shared(shape: ModelShape, layers: int, weights: list[float], with_output: bool) -> list[int]:
    """Layers per GPU, so that each device's printed weights are met as nearly as whole layers allow."""
    head = min(shape.embd * shape.vocab * 0.82 / MIB, 0.4 * weights[-1]) if with_output else 0.0
    per_layer = (sum(weights) - head) / max(layers, 1)
    homes: list[int] = []
    reached = 0.0
    for at, own in enumerate(weights[:-1]):
        reached += own
        homes += [at] * max(min(round(reached / per_layer), layers) - len(homes), 0)
    return homes + [len(weights) - 1] * (layers - len(homes))


def _is_gpu(name: str) -> bool:
    return bool(re.match(r"(CUDA|ROCm|Vulkan|SYCL|Metal|MTL|MUSA|HIP|OpenCL|CANN|RPC)", name)) and "Host" not in name


def _plain(name: str) -> str:
    """A device's name without what says how it was mapped: Metal_Mapped is Metal."""
    return re.sub(r"_Mapped$", "", name)


def _by_device(entries: list[dict[str, Any]] | None) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for entry in entries or []:
        found[_plain(entry["device"])] += float(entry["mib"])
    return dict(found)


def _printed_devices(row: Mapping[str, Any]) -> set[str]:
    found = [_by_device(row["actual"].get(f"{term}_buffers")) for term in ("model", "kv", "recurrent", "compute")]
    return {name for table in found for name in table}


def _host_buffer_name(row: Mapping[str, Any], gpus: tuple[str, ...]) -> str:
    named = [e["device"] for key in ("compute_buffers", "output_buffers") for e in row["actual"].get(key) or []]
    return next((name for name in named if not _is_gpu(_plain(name))), "CPU")


# --- the report ------------------------------------------------------------------------------------------------------


def compare(row: Mapping[str, Any]) -> list[Line]:
    """All terms of a row, and a total per device (weights as printed plus the predicted rest)."""
    found, actual = predict(row), row["actual"]
    printed = {
        "weights": _by_device(actual.get("model_buffers")),
        "kv_cache": _by_device((actual.get("kv_buffers") or []) + (actual.get("recurrent_buffers") or [])),
        "compute": _by_device(actual.get("compute_buffers")),
        "output": _by_device(actual.get("output_buffers")),
    }
    missing = [name for name in ("kv_cache", "compute") if not printed[name]]
    if missing:
        raise NotEnough(f"{' and '.join(missing)} buffers are not printed")
    predicted = {"weights": printed["weights"], "kv_cache": found.kv, "compute": found.compute, "output": found.output}
    lines = []
    for device in sorted({name for table in printed.values() for name in table}):
        for term in ("kv_cache", "compute", "output"):
            want, got = printed[term].get(device), predicted[term].get(device, 0.0)
            if want is not None:
                lines.append(Line(device, term, got, want))
        want = sum(table.get(device, 0.0) for table in printed.values())
        terms = [term for term in printed if device in printed[term]]
        got = sum(predicted[term].get(device, 0.0) for term in terms)
        if len(terms) > 1 or terms != ["weights"]:
            lines.append(Line(device, "total", got, want))
    return lines


def summary(errors: list[float]) -> str:
    """median, p95 and worst of absolute errors in percent."""
    if not errors:
        return "no rows"
    ranked = sorted(abs(error) for error in errors)
    middle = ranked[len(ranked) // 2] if len(ranked) % 2 else sum(ranked[len(ranked) // 2 - 1 : len(ranked) // 2 + 1]) / 2
    high = ranked[min(-(-95 * len(ranked) // 100), len(ranked)) - 1]
    return f"median {middle:.1f} % p95 {high:.1f} % worst {ranked[-1]:.1f} %"


def report(path: Path) -> str:
    """The whole report as text; its last line is the summary of the per-device totals."""
    out: list[str] = []
    errors: dict[str, list[float]] = defaultdict(list)
    apart: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        row = json.loads(line)
        name = f"{row.get('id')}  {row['model'].get('name')}  [{row['model'].get('arch')}]"
        try:
            lines = compare(row)
        except NotEnough as reason:
            apart.append(f"{name}: {reason}")
            continue
        except (AttributeError, LookupError, TypeError, ValueError, ZeroDivisionError) as problem:
            apart.append(f"{name}: the row cannot be read ({type(problem).__name__}: {problem})")
            continue
        out.append(f"{name}  {row.get('engine')}")
        for item in lines:
            guessed = item.term == "output" and row["context"].get("n_seq_max") is None
            errors["output of one sequence" if guessed else item.term].append(item.error)
            out.append(
                f"    {item.device:<10} {item.term:<9} predicted {item.predicted:>11.2f} MiB   "
                f"printed {item.printed:>11.2f} MiB   error {item.error:+7.2f} %"
                f"{'   (for one sequence: the log names no number)' if guessed else ''}"
            )
    if apart:
        out += ["", f"not compared: {len(apart)} rows whose printed fields do not suffice"]
        out += [f"    {text}" for text in apart]
    out.append("")
    out += [f"{term}: {summary(errors[term])} ({len(errors[term])} values)" for term in ("kv_cache", "compute", "output")]
    if guessed_errors := errors["output of one sequence"]:
        out.append(
            f"output where the log names no number of sequences, taken as one: {summary(guessed_errors)} "
            f"({len(guessed_errors)} values)"
        )
    out.append(f"total: {summary(errors['total'])}")
    return "\n".join(out)


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 2
    if arguments[0] == "--training":
        from tests.memory.training_report import training_report

        print(training_report(Path(arguments[1])))
        return 0
    print(report(Path(arguments[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
