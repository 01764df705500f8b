"""Training's memory, predicted against measured, on models of random weights: `python -m tests.training_memory_report [NAME ...]`.

Every case is a run of the training script in a process of its own on the processor; what it says of its peak is held against the plan's
estimate, which knows nothing of this report. Some minutes; the suite runs one of the cases.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playground.memory.devices import Device
from playground.memory.training_fit import TrainingTerms
from playground.params import from_pairs, to_dict
from playground.session import fitting
from playground.session.training_suggest import Given, fit_of
from playground.training.runs import read_events
from playground.training.settings import TrainSettings

MIB = 1 << 20
SCRIPT = Path(__file__).parents[1] / "playground" / "workers" / "run_script.py"
CPU = Device("CPU", "a processor", 64 << 30, 64 << 30)


@dataclass(frozen=True)
class Case:
    """A model's configuration, settings, and rows of `shortest` to `longest` tokens, of which `learned` (a share) carry loss at the end."""

    name: str
    config: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    longest: int = 256
    shortest: int = 256
    learned: float = 1.0
    kind: str = "llama"
    packed: int = 1
    """texts in a row"""


SMALL = {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 6, "num_attention_heads": 8, "vocab_size": 8192}
TIED = {"tie_word_embeddings": True}
GQA = {**SMALL, "num_key_value_heads": 2}
WIDE = {
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 4,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "vocab_size": 4096,
}
VOCAB = {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 4, "num_attention_heads": 4, "vocab_size": 65536}

CASES = (
    Case("lora", SMALL, {"batch": 4, "rank": 16}),
    Case("qlora", SMALL, {"batch": 4, "rank": 16, "method": "qlora"}),
    Case("qlora, grouped keys, tied, rank 64", {**GQA, **TIED}, {"batch": 8, "rank": 64, "method": "qlora"}, longest=128, shortest=40),
    Case("qlora, wide, checkpointing", WIDE, {"batch": 4, "rank": 16, "method": "qlora", "checkpointing": True}, longest=512, shortest=512),
    Case("lora, large vocabulary", VOCAB, {"batch": 4, "rank": 8}),
    Case("qlora, large vocabulary, answers only", VOCAB, {"batch": 8, "rank": 8, "method": "qlora"}, learned=0.25),
    Case("lora, large vocabulary, tied, checkpointing", {**VOCAB, **TIED}, {"batch": 8, "checkpointing": True}),
    Case("full, tied", {**GQA, **TIED}, {"batch": 4, "method": "full"}),
    Case("full, adamw-8bit, checkpointing", WIDE, {"batch": 2, "method": "full", "checkpointing": True, "optimizer": "adamw-8bit"}),
    Case("lora, long, batch 1", WIDE, {"batch": 1, "rank": 32, "sequence_length": 1024}, longest=1024, shortest=1024),
    Case("qlora, packed, dropout", GQA, {"batch": 2, "packing": True, "method": "qlora", "dropout": 0.1}, longest=170, shortest=170, packed=3),
    Case("lora, queries and values", SMALL, {"batch": 8, "targets": "q_proj,v_proj"}, longest=256, shortest=64),
    Case("lora, gpt2", {"n_embd": 512, "n_layer": 6, "n_head": 8, "vocab_size": 8192, "n_positions": 1024}, {"batch": 4}, kind="gpt2"),
    Case("lora, qwen2", {**GQA, "vocab_size": 32768}, {"batch": 4, "accumulation": 2}, kind="qwen2", shortest=64, learned=0.5),
)  # fmt: skip

MAKE = """
import json, sys, torch, transformers
kind, config, folder = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
torch.manual_seed(1)
made = transformers.AutoConfig.for_model(kind, bos_token_id=0, eos_token_id=1, pad_token_id=0, **config)
transformers.AutoModelForCausalLM.from_config(made).save_pretrained(folder)
"""


def rows_of(case: Case, count: int = 16) -> list[dict[str, Any]]:
    rng = random.Random(3)
    found = []
    for _ in range(count):
        lengths = [rng.randint(case.shortest, case.longest) for _ in range(case.packed)]
        ids = [rng.randint(2, 4000) for _ in range(sum(lengths))]
        labels = [token if place >= len(ids) * (1 - case.learned) else -100 for place, token in enumerate(ids)]
        found.append({"input_ids": ids, "labels": labels} | ({"lengths": lengths} if case.packed > 1 else {}))
    return found


def run(case: Case, place: Path, steps: int = 5) -> tuple[TrainingTerms, dict[str, int]]:
    """The estimate, and what the run measured: runtime_memory, loaded_memory, peak_memory (bytes)."""
    model, folder = place / "model", place / "run"
    kind = ["-c", MAKE, case.kind, json.dumps(case.config), str(model)]
    subprocess.run([sys.executable, "-W", "ignore", *kind], check=True, capture_output=True)
    rows = rows_of(case)
    settings = from_pairs(
        TrainSettings,
        {"precision": "fp32", "steps": steps, "accumulation": 1, "threads": 2, "evaluate_every": steps, **case.settings},
    )
    (folder / "data").mkdir(parents=True)
    for name, some in (("train", rows), ("validation", rows[:2])):
        (folder / "data" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    record = {"model": {"path": str(model), "base": "a/b"}, "settings": to_dict(settings), "tokens": {"stop": [1]}}
    (folder / "settings.json").write_text(json.dumps(record))
    done = subprocess.run([sys.executable, "-W", "ignore", str(SCRIPT), str(folder)], capture_output=True, text=True)
    events = {each["event"]: each for each in read_events(folder)}
    if "finished" not in events:
        raise SystemExit(f"{case.name}: {events.get('failed')} {done.stderr[-2000:]}")
    lengths = [len(row["input_ids"]) for row in rows]
    starts = [next(at for at, label in enumerate(row["labels"]) if label != -100) for row in rows]
    given = Given(fitting.of_path(model).shape, lengths, len(rows), [CPU], cores=2, starts=starts)
    return fit_of(given, settings).terms, {
        "runtime": events["started"]["runtime_memory"],
        "loaded": events["started"]["loaded_memory"],
        "peak": events["finished"]["peak_memory"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only cases whose names hold one of these")
    wanted = parser.parse_args().names
    print(f"{'MiB':<46} {'runtime':>16} {'weights':>16} {'beside':>16} {'peak':>16} {'error':>8}", flush=True)
    worst = 0.0
    for case in CASES:
        if wanted and not any(name in case.name for name in wanted):
            continue
        place = Path(tempfile.mkdtemp(prefix="training-memory-"))
        try:
            terms, measured = run(case, place)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        held = terms.weights + terms.adapter
        error = 100 * (terms.total - measured["peak"]) / measured["peak"]
        worst = max(worst, abs(error))
        pairs = (
            (terms.runtime, measured["runtime"]),
            (held, measured["loaded"] - measured["runtime"]),
            (terms.total - terms.runtime - held, measured["peak"] - measured["loaded"]),
            (terms.total, measured["peak"]),
        )
        cells = " ".join(f"{said / MIB:7.0f} {was / MIB:8.0f}" for said, was in pairs)
        print(f"{case.name:<46} {cells} {error:+7.1f} %", flush=True)
    print(f"worst {worst:.1f} %")


if __name__ == "__main__":
    main()
