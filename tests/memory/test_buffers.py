"""llama.cpp's buffers: against its own dry runs (frozen), against load logs, and by their laws.

`dry_runs.json` holds what llama.cpp (llama-cpp-python 0.3.36) printed for random files of real shapes, loaded with
`no_alloc`, on the processor: [context, micro-batch, sequences, unified, flash, cache type, KV, compute, output] in MiB.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from playground.memory.buffers import Engine, Placement, compute_buffers, engine_buffers, split_layers
from playground.memory.kv_cache import CachePlan, kv_bytes, padded
from playground.memory.shape import ModelShape, shape_from_keys
from tests import fit_report

MIB = 1 << 20
HERE = Path(__file__).resolve().parent
LOGS = HERE.parents[2] / "shared" / "memory" / "load_logs.jsonl"
MODELS: list[dict[str, Any]] = json.loads((HERE / "dry_runs.json").read_text(encoding="utf-8"))


def shape_of(model: dict[str, Any]) -> ModelShape:
    keys = model["keys"]
    return shape_from_keys(model["architecture"], lambda key, default=None: keys.get(key, default), keys["vocab_size"], {})


def named(name: str) -> ModelShape:
    return shape_of(next(model for model in MODELS if model["name"] == name))


def on_host(shape: ModelShape) -> Placement:
    return Placement((-1,) * len(shape.layers), -1, gpus=0)


def dry_runs() -> Iterator[Any]:
    for model in MODELS:
        for row in model["rows"]:
            yield pytest.param(model, row, id=f"{model['name']}-{'-'.join(str(item) for item in row[:6])}")


@pytest.mark.parametrize(("model", "row"), list(dry_runs()))
def test_a_dry_run_of_llama_cpp_is_reproduced(model: dict[str, Any], row: list[Any]):
    context, micro, sequences, unified, flash, kind, kv, compute, output = row
    shape = shape_of(model)
    plan = CachePlan(padded(context, 256), sequences, unified, micro, kind, kind, flash)
    found = engine_buffers(shape, plan, 2048, on_host(shape))
    assert found.kv[-1] / MIB == pytest.approx(kv, abs=0.02)
    assert found.compute[-1] / MIB == pytest.approx(compute, rel=0.0005, abs=0.02)
    assert found.output / MIB == pytest.approx(output, abs=0.006)


@pytest.mark.skipif(not LOGS.exists(), reason="load logs are not here")
def test_printed_load_logs_are_reproduced():
    errors: dict[str, list[float]] = {}
    compared = 0
    for line in LOGS.read_text(encoding="utf-8").splitlines():
        try:
            found = fit_report.compare(json.loads(line))
        except fit_report.NotEnough:
            continue
        compared += 1
        for item in found:
            errors.setdefault(item.term, []).append(abs(item.error))
    assert compared >= 20
    assert max(errors["kv_cache"]) <= 0.1
    totals = sorted(errors["total"])
    assert totals[len(totals) // 2] <= 0.1
    assert totals[-1] <= 1.0


@pytest.mark.parametrize(
    "line", (HERE / "logged_rows.jsonl").read_text(encoding="utf-8").splitlines(), ids=lambda line: json.loads(line)["id"]
)
def test_printed_partial_offload_and_pipelines_are_reproduced(line: str):
    """Ten of 33 layers on a GPU, with and without flash attention; all of them; two GPUs in a pipeline."""
    for item in fit_report.compare(json.loads(line)):
        if item.term in ("kv_cache", "compute"):
            assert abs(item.error) <= 0.1, item


def test_the_report_ends_in_its_summary(tmp_path: Path):
    row = {
        "id": "own", "engine": "llama.cpp", "build": "5000", "date": None,
        "model": {"name": "tiny", "arch": "llama", "tensor_types": {"q8_0": 10}},
        "hparams": {"n_vocab": 32000, "n_embd": 4096, "n_layer": 32, "n_head": 32, "n_head_kv": 32, "n_ff": 11008,
                    "n_embd_head_k": 128, "n_embd_head_v": 128},
        "gguf_kv": None, "layers_offloaded": 0, "layers_total": 33, "n_gpu_layers_arg": None,
        "context": {"n_ctx": 2048, "n_batch": 2048, "n_ubatch": 512, "flash_attn": 0, "type_k": "f16", "type_v": "f16"},
        "actual": {"model_buffers": [{"device": "CPU", "mib": 3891.24}], "kv_buffers": [{"device": "CPU", "mib": 1024.0}],
                   "compute_buffers": [{"device": "CPU", "mib": 164.01}], "output_buffers": [{"device": "CPU", "mib": 0.12}]},
    }  # fmt: skip
    poor = {**row, "id": "poor", "hparams": {"n_embd": 4096}}
    odd = {**row, "id": "odd", "context": None}
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in (row, poor, odd)))
    text = fit_report.report(path)
    assert text.splitlines()[-1] == "total: median 0.0 % p95 0.0 % worst 0.0 %"
    assert "poor  tiny  [llama]: n_layer is not printed" in text
    assert "not compared: 2 rows" in text
    assert "taken as one: median" in text and "output: no rows" in text  # its number of sequences is not printed


# --- laws ------------------------------------------------------------------------------------------------------------


def test_cells_and_types_of_the_cache():
    shape = named("llama1b")
    per_cell = 16 * 2 * 8 * 64
    assert sum(kv_bytes(shape, CachePlan(4096))) == 4096 * per_cell * 2
    assert sum(kv_bytes(shape, CachePlan(4097))) == 4352 * per_cell * 2
    assert sum(kv_bytes(shape, CachePlan(4096, type_k="q8_0", type_v="q4_0"))) == 4096 * per_cell // 2 * 52 // 32
    assert sum(kv_bytes(shape, CachePlan(4096, sequences=4, unified=False))) == sum(kv_bytes(shape, CachePlan(4096)))


def test_a_window_keeps_its_window_only():
    shape = named("gemma3")
    short = kv_bytes(shape, CachePlan(32768, micro_batch=512))
    assert short[0] == 1024 * 2 * 256 * 2
    assert short[5] == 32768 * 2 * 256 * 2
    assert kv_bytes(shape, CachePlan(32768, full_window=True))[0] == short[5]


def test_latent_attention_keeps_576_elements_a_token():
    shape = named("deepseek2-lite")
    assert sum(kv_bytes(shape, CachePlan(4096))) == 27 * 4096 * 576 * 2


def test_the_output_layer_goes_to_the_gpu_first():
    assert split_layers(32, 0, (1.0,)).offloaded == 0
    one = split_layers(32, 1, (1.0,))
    assert (one.output, one.layers) == (0, (-1,) * 32)
    assert split_layers(32, 33, (1.0,)).layers == (0,) * 32
    assert split_layers(32, 99, (1.0, 1.0)).layers.count(0) == 17
    assert split_layers(32, 99, ()).offloaded == 0


def test_experts_on_the_host_bring_the_largest_expert_tensor_to_the_gpu():
    shape = replace(named("qwen3moe"), bytes_per_weight=34 / 32)
    plan, layers = CachePlan(4096, micro_batch=128), (0,) * 48
    plain = compute_buffers(shape, plan, 2048, Placement(layers, 0, gpus=1), Engine())
    moved = compute_buffers(shape, plan, 2048, Placement(layers, 0, (-1,) * 48, 1, overridden=True), Engine())
    tensor = 2048 * 768 * 128 * 34 // 32
    assert plain[0] < tensor < moved[0] < plain[0] + tensor


def test_two_gpus_keep_four_copies_of_the_inputs():
    shape, plan = named("llama1b"), CachePlan(32768)
    one = compute_buffers(shape, plan, 2048, split_layers(16, 17, (1.0,)), Engine())
    two = compute_buffers(shape, plan, 2048, split_layers(16, 17, (1.0, 1.0)), Engine())
    mask = 32768 * 512 * 2
    assert two[-1] >= one[-1] + 3 * mask
    assert len(two) == 3


def test_two_quantizations_of_one_model_are_told_apart():
    shape, plan = named("qwen3moe"), CachePlan(4096)
    place = Placement((0,) * 48, 0, (-1,) * 48, 1, overridden=True)
    sizes = {
        compute_buffers(
            replace(shape, tensors={f"blk.{il}.ffn_up_exps.weight": n for il in range(48)}), plan, 2048, place, Engine()
        )[0]
        for n in (900 * MIB, 1200 * MIB)
    }
    assert len(sizes) == 2
