"""The answer for a GGUF model: verdicts, best number of layers, largest context, what is unloaded, what it rests on."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import pytest

from playground.errors import ModelFileError
from playground.memory import (
    Device,
    ModelShape,
    Situation,
    find_devices,
    fit,
    largest_context,
    read_config,
    rule_of_thumb,
    shape_from_config,
    shape_from_gguf,
)
from playground.memory.buffers import Engine
from playground.models.gguf_header import read_gguf
from playground.params import ContextSettings
from tests.memory.test_buffers import named

GIB = 1 << 30
CPU = Device("CPU", "processor", 32 * GIB, 24 * GIB)


def card(free: float, name: str = "CUDA0") -> Device:
    return Device(name, "a card", 24 * GIB, int(free * GIB), True)


def weighty(name: str, nbytes: int, table: int) -> ModelShape:
    """A model of that shape whose layers weigh `nbytes` together and whose token table weighs `table`."""
    shape = named(name)
    share = nbytes // len(shape.layers)
    tensors = {f"blk.{il}.ffn_down.weight": share for il in range(len(shape.layers))}
    tensors |= {"token_embd.weight": table, "output.weight": table, "output_norm.weight": 16384}
    return replace(shape, tensors=tensors, parameters=7_000_000_000)


LLAMA = weighty("llama2-7b", 4 * GIB, GIB // 8)
SETTINGS = ContextSettings(context=4096, sequences=1)


def test_a_model_that_fits_on_its_card():
    answer = fit(LLAMA, SETTINGS, [card(20), CPU])
    assert (answer.verdict, answer.gpu_layers, answer.layers) == ("fits", 33, 33)
    gpu, host = answer.devices
    assert gpu.terms.weights == sum(n for name, n in LLAMA.tensors.items() if name != "token_embd.weight")
    assert host.terms.weights == LLAMA.embedding_bytes
    assert gpu.terms.kv_cache == 32 * 4096 * 2 * 4096 * 2
    assert answer.total == sum(one.terms.total for one in answer.devices)
    assert answer.to_dict()["terms"]["weights"] == LLAMA.weight_bytes
    assert "guess" in answer.basis["runtime"]


def test_a_tied_model_lies_twice():
    tied = replace(LLAMA, tied=True, tensors={k: v for k, v in LLAMA.tensors.items() if k != "output.weight"})
    answer = fit(tied, SETTINGS, [card(20), CPU])
    assert answer.terms.weights == tied.weight_bytes + tied.embedding_bytes


def test_a_smaller_card_takes_as_many_layers_as_it_holds():
    answer = fit(LLAMA, SETTINGS, [card(4), CPU])
    assert answer.verdict == "partly on CPU"
    assert 0 < answer.gpu_layers < 33
    assert f"{answer.gpu_layers} of 33 layers" in answer.why
    assert answer.devices[0].share <= 0.95
    more = fit(LLAMA, replace(SETTINGS, gpu_layers=answer.gpu_layers + 1), [card(4), CPU])
    assert more.devices[0].share > 0.95


def test_what_is_about_to_be_unloaded_counts_as_free():
    full = fit(LLAMA, SETTINGS, [card(1), CPU])
    freed = fit(LLAMA, SETTINGS, [card(1), CPU], held={"CUDA0": 15 * GIB})
    assert full.gpu_layers < freed.gpu_layers == 33
    assert freed.devices[0].device.free == 16 * GIB


def test_without_a_card():
    assert fit(LLAMA, SETTINGS, [CPU]).verdict == "fits"
    assert fit(LLAMA, SETTINGS, [replace(CPU, free=int(6.9 * GIB))]).verdict in ("tight", "fits")
    short = fit(LLAMA, SETTINGS, [replace(CPU, free=2 * GIB)])
    assert short.verdict == "does not fit"
    assert "short" in short.why


def test_the_largest_context_is_the_last_that_fits():
    situation = Situation(LLAMA, (replace(CPU, free=9 * GIB),))
    most = largest_context(situation, SETTINGS, limit=65536)
    assert 4096 < most < 65536
    assert most % 256 == 0
    assert fit(LLAMA, replace(SETTINGS, context=most), situation.devices).verdict == "fits"
    assert fit(LLAMA, replace(SETTINGS, context=most + 512), situation.devices).verdict != "fits"
    assert fit(LLAMA, replace(SETTINGS, context=0), situation.devices).context == most or LLAMA.context_train < most


def test_a_measured_runtime_takes_the_guess_s_place():
    answer = fit(LLAMA, SETTINGS, [card(20), CPU], runtime={"CUDA0": 123, "CPU": 20 << 20})
    assert [one.terms.runtime for one in answer.devices] == [123, 20 << 20]
    assert "measured" in answer.basis["runtime"]


def test_a_runtime_measured_with_another_vocabulary_counts_within_bounds():
    guess, little, much = (
        fit(LLAMA, SETTINGS, [CPU], runtime=known).devices[0].terms.runtime for known in ({}, {"CPU": 7}, {"CPU": 1 << 30})
    )
    assert (little, much) == (guess, 2 * guess)
    wordy = replace(LLAMA, vocab=128_256, merges=280_000)
    assert fit(wordy, SETTINGS, [CPU]).devices[0].terms.runtime > 3 * guess


def test_copies_in_another_order_add_to_the_host_alone():
    """The file stays mapped from the first tensor used as it is to the last; the copies come on top."""
    shape = replace(LLAMA, matrices={name: "q4_0" for name in LLAMA.tensors if "norm" not in name})
    engine = Engine(repacks=frozenset({"q4_0"}))
    plain, copied = (fit(shape, SETTINGS, [CPU], engine=each) for each in (Engine(), engine))
    layers = sum(n for name, n in shape.tensors.items() if name.startswith("blk."))
    assert copied.terms.weights - plain.terms.weights == shape.output_bytes  # the layers' own part of the file is given back
    assert layers == 4 * GIB
    assert "copies" in copied.basis["weights"] and "copies" not in plain.basis["weights"]
    assert fit(shape, SETTINGS, [card(20), CPU], engine=engine).terms == fit(shape, SETTINGS, [card(20), CPU]).terms


def test_experts_on_the_host_move_their_weights():
    shape = named("qwen3moe")
    tensors = {f"blk.{il}.ffn_{part}_exps.weight": 200 << 20 for il in range(48) for part in ("up", "gate", "down")}
    shape = replace(shape, tensors=tensors | {"token_embd.weight": 300 << 20, "output.weight": 300 << 20})
    every = fit(shape, replace(SETTINGS, gpu_layers=49), [card(40), CPU])
    half = fit(shape, replace(SETTINGS, gpu_layers=49, experts_on_cpu=24), [card(40), CPU])
    assert half.devices[0].terms.weights == every.devices[0].terms.weights - 24 * 3 * (200 << 20)
    assert half.total >= every.total


def test_a_projector_is_added():
    projector = ModelShape("clip", 0, 1024, (), is_projector=True, tensors={"v.w": 800 << 20})
    plain, more = (fit(LLAMA, SETTINGS, [card(20), CPU], projector=p) for p in (None, projector))
    assert more.terms.weights == plain.terms.weights + (800 << 20)
    assert "projector" in more.basis


def test_the_rule_of_thumb():
    assert rule_of_thumb(7_000_000_000, 4) == pytest.approx(4.2e9)
    assert rule_of_thumb(70_000_000_000, 16) == pytest.approx(168e9)


def test_devices_are_always_found():
    found = find_devices()
    assert found[-1].name == "CPU"
    assert 0 < found[-1].free <= found[-1].total


# --- where shapes come from ------------------------------------------------------------------------------------------


def test_a_shape_from_config_json():
    config = {
        "model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
        "head_dim": 128, "intermediate_size": 3072, "vocab_size": 151936, "tie_word_embeddings": True,
    }  # fmt: skip
    shape = shape_from_config(config, None, "Qwen3-0.6B")
    assert shape.architecture == "qwen3"
    assert shape.layers[0].k_width == 1024
    assert shape.parameters == pytest.approx(596e6, rel=0.01)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"1e999", b"{" * 100_000])
def test_a_config_that_is_none(data: bytes):
    with pytest.raises(ModelFileError):
        shape_from_config(read_config(data, "config.json"), None)


def test_odd_configs_give_a_shape_or_a_sentence():
    rng = random.Random(11)
    keys = ["hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size",
            "vocab_size", "sliding_window", "layer_types", "num_experts", "kv_lora_rank", "text_config", "model_type"]  # fmt: skip
    odd = [0, -1, 1, 2, 64, 4096, 10**12, None, "x", [], [1, "a"], {}, True, 1.5, float("nan")]
    for _ in range(2000):
        config = {key: rng.choice(odd) for key in keys if rng.random() < 0.8}
        try:
            shape_from_config(config, None)
        except ModelFileError:
            pass


def test_odd_gguf_keys_give_a_shape_or_a_sentence():
    rng = random.Random(5)
    keys = ["block_count", "embedding_length", "attention.head_count", "attention.head_count_kv", "feed_forward_length",
            "attention.sliding_window", "attention.sliding_window_pattern", "expert_count", "ssm.inner_size"]  # fmt: skip

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    for _ in range(500):
        arch = rng.choice(["llama", "gemma3", "jamba", "deepseek2", "nobody", "qwen3next", "clip"])
        entries = {"general.architecture": struct.pack("<I", 8) + text(arch)}
        for key in keys:
            kind = rng.randrange(4)
            value = struct.pack("<Ii", 5, rng.choice([-5, 0, 1, 2, 64, 1 << 30]))
            value = struct.pack("<If", 6, float("nan")) if kind == 0 else value
            value = struct.pack("<IIQ", 9, 5, 2) + struct.pack("<2i", 3, -1) if kind == 1 else value
            entries[f"{arch}.{key}"] = value
        data = b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + b"".join(text(k) + v for k, v in entries.items())
        try:
            shape_from_gguf(read_gguf(lambda o, n, d=data: d[o : o + n], "odd.gguf"))
        except ModelFileError:
            pass
