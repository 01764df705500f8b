"""The script that trains a run folder: what it computes, what it leaves, and that a run goes on after a kill as if nothing had been."""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from playground.memory.sources import shape_from_config
from playground.memory.training_fit import TrainingPlan
from playground.memory.training_step import kept_elements
from playground.params import from_pairs, to_dict
from playground.training.runs import curves, read_events
from playground.training.settings import TrainSettings
from tests.workers.conftest import Libraries

pytest.importorskip("peft", reason="training is not installed")

ROOT = Path(__file__).resolve().parents[2]
KILLED = -signal.SIGKILL
FINISHED, STOPPED, ENDED, FAILED = 0, 2, 3, 4
SMALL = {
    "steps": 8,
    "batch": 2,
    "accumulation": 2,
    "rank": 4,
    "alpha": 8,
    "dropout": 0.1,
    "learning_rate": 0.01,
    "evaluate_every": 4,
}

Train = Callable[..., int]


@pytest.fixture(scope="module")
def train(libraries: Libraries) -> Train:
    """Does a job of `training_host`, and says how the child ended."""

    def do(folder: Path | None = None, **job: Any) -> int:
        libraries.begin(**job | ({"train": str(folder)} if folder else {}))
        return libraries.end()

    return do


@pytest.fixture(scope="module")
def models(train: Train, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    places = {kind: tmp_path_factory.mktemp("models") / kind for kind in ("llama", "tied", "gpt2")}
    for kind, place in places.items():
        assert train(make=str(place), kind=kind) == 0
    return places


def run_folder(place: Path, model: Path, rows: int = 21, packed: bool = False, **settings: Any) -> Path:
    """A run folder with random rows, in which every third token follows from the one before."""
    rng = random.Random(5)

    def row() -> dict[str, Any]:
        lengths = [rng.randint(4, 20) for _ in range(3 if packed else 1)]
        ids = [rng.randint(2, 40) + (50 if place % 3 == 2 else 0) for place in range(sum(lengths))]
        labels = [token if place % 3 == 2 else -100 for place, token in enumerate(ids)]
        return {"input_ids": ids, "labels": labels} | ({"lengths": lengths} if packed else {})

    (place / "data").mkdir(parents=True)
    for name, count in (("train", rows), ("validation", 3)):
        (place / "data" / f"{name}.jsonl").write_text("".join(json.dumps(row()) + "\n" for _ in range(count)))
    chosen = from_pairs(TrainSettings, {**SMALL, "threads": 1, **settings})
    record = {"model": {"path": str(model), "base": "someone/a-model"}, "settings": to_dict(chosen), "tokens": {"stop": [1]}}
    (place / "settings.json").write_text(json.dumps(record | {"card": "---\nlibrary_name: peft\n---\n{{results}}\n"}))
    return place


def losses(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found = curves(read_events(folder))
    return {name: found[name] for name in ("loss", "validation_loss", "grad_norm", "learning_rate")}


def tensors(file: Path) -> dict[str, bytes]:
    with safe_open(str(file), "numpy") as opened:
        return {name: opened.get_tensor(name).tobytes() for name in opened.keys()}  # noqa: SIM118


def of_kind(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [each for each in read_events(folder) if each["event"] == kind]


@pytest.fixture(scope="module")
def whole(train: Train, models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA run of eight steps that nothing disturbed."""
    folder = run_folder(tmp_path_factory.mktemp("runs") / "whole", models["llama"])
    assert train(folder) == FINISHED
    assert len(losses(folder)["loss"]) == 8 and len(losses(folder)["validation_loss"]) == 3
    return folder


@pytest.mark.parametrize(("method", "kills"), [("lora", 5), ("qlora", 1), ("full", 1)])
def test_a_run_killed_anywhere_goes_on_with_the_very_same_losses(
    method: str, kills: int, train: Train, models: dict[str, Path], whole: Path, tmp_path: Path
) -> None:
    more: dict[str, Any] = {} if method == "lora" else {"method": method, "steps": 6, "evaluate_every": 3}
    if method == "qlora":
        more |= {"rank": 64, "optimizer": "adamw-8bit"}  # states of fewer than 4,096 numbers stay in 32 bits
    model = models["tied" if method == "full" else "llama"]
    if method == "qlora":
        pytest.importorskip("bitsandbytes")
    if more:
        whole = run_folder(tmp_path / "whole", model, **more)
        assert train(whole) == FINISHED
    expected = losses(whole)

    broken = run_folder(tmp_path / "broken", model, **more)
    rng = random.Random(method)
    for _ in range(kills):
        assert train(broken, die_at=rng.randint(2, 9)) == KILLED  # events of each life: its own first ones among them
    assert train(broken, die_writing=2) == KILLED, "in the middle of a checkpoint"
    assert train(broken, bf16_processor=method == "qlora") == FINISHED  # which computes the same
    assert losses(broken) == expected
    result = "model/model.safetensors" if method == "full" else "adapter/adapter_model.safetensors"
    assert tensors(broken / result) == tensors(whole / result)
    assert not list(broken.rglob("*.part")), "nothing half-made stays"


def test_the_frozen_model_is_not_touched_and_the_adapter_learns(train: Train, models: dict[str, Path], tmp_path: Path) -> None:
    before = (models["llama"] / "model.safetensors").read_bytes()
    for method in ("lora", "qlora"):
        more = {"method": method, "steps": 12, "learning_rate": 0.04, "dropout": 0, "keep": "last"}
        folder = run_folder(tmp_path / method, models["llama"], rows=4, evaluate_every=12, **more)
        assert train(folder) == FINISHED
        (end,) = of_kind(folder, "finished")
        assert end["base_unchanged"] is True
        curve = losses(folder)["loss"]
        assert curve[-1][1] < curve[0][1] - 0.5
    assert (models["llama"] / "model.safetensors").read_bytes() == before


def test_what_a_run_leaves(whole: Path) -> None:
    folder = whole
    kept = sorted(each.name for each in (folder / "checkpoints").iterdir())
    assert {"step-4", "step-8"} <= set(kept) and len(kept) <= 3, "the last two, and the best"
    assert {each.suffix for each in folder.rglob("*") if each.is_file()} <= {".json", ".jsonl", ".safetensors", ".md"}
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "someone/a-model" and config["r"] == 4
    card = (folder / "adapter" / "README.md").read_text()
    assert "8 of 8 steps, 4 rows each. Validation loss" in card and "{{" not in card
    (started,) = of_kind(folder, "started")
    assert started["rows"] == 21 and started["steps"] == 8 and started["steps_in_epoch"] == 6
    assert 0 < started["trained_parameters"] < started["parameters"]
    for event in of_kind(folder, "step"):
        assert {"loss", "learning_rate", "grad_norm", "tokens_per_s", "memory", "epoch"} <= set(event) and event["labels"] > 0


def test_every_linear_layer_gets_an_adapter_gpt2_included(train: Train, models: dict[str, Path], tmp_path: Path) -> None:
    expected = {
        "llama": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
        "gpt2": {"c_attn", "c_proj", "c_fc"},
    }
    for kind, names in expected.items():
        folder = run_folder(tmp_path / kind, models[kind], steps=1)
        assert train(folder) == FINISHED
        config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
        assert {each.rpartition(".")[2] for each in config["target_modules"]} == names


def test_accumulating_and_recomputing_change_nothing_but_memory(train: Train, models: dict[str, Path], tmp_path: Path) -> None:
    curve = []
    for name, more in (
        ("plain", {"batch": 4, "accumulation": 1}),
        ("accumulated", {"batch": 1, "accumulation": 4}),
        ("recomputed", {"batch": 2, "accumulation": 2, "checkpointing": True}),
    ):
        folder = run_folder(tmp_path / name, models["llama"], dropout=0, steps=3, **more)
        assert train(folder) == FINISHED
        curve.append([loss for _, loss in losses(folder)["loss"]])
    assert curve[1] == pytest.approx(curve[0], abs=1e-4) and curve[2] == pytest.approx(curve[0], abs=1e-4)


def test_packed_rows_do_not_see_each_other(train: Train, models: dict[str, Path], tmp_path: Path) -> None:
    """The first loss of packed rows is that of the same texts as rows of their own."""
    packed = run_folder(tmp_path / "packed", models["llama"], packed=True, rows=4, steps=1, batch=4, accumulation=1)
    alone = tmp_path / "alone"
    shutil.copytree(packed, alone)
    lines = []
    for line in (packed / "data" / "train.jsonl").read_text().splitlines():
        row, start = json.loads(line), 0
        for length in row["lengths"]:
            lines.append({name: row[name][start : start + length] for name in ("input_ids", "labels")})
            start += length
    (alone / "data" / "train.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    record = json.loads((alone / "settings.json").read_text())
    record["settings"] |= {"batch": 12}
    (alone / "settings.json").write_text(json.dumps(record))
    assert train(packed) == FINISHED and train(alone) == FINISHED
    assert losses(packed)["loss"][0][1] == pytest.approx(losses(alone)["loss"][0][1], abs=1e-5)


def test_pausing_changes_nothing_and_stopping_keeps_what_there_is(
    train: Train, models: dict[str, Path], whole: Path, tmp_path: Path
) -> None:
    paused = run_folder(tmp_path / "paused", models["llama"])
    assert train(paused, wants=["run"] * 3 + ["pause"] * 3 + ["run"]) == FINISHED
    assert losses(paused) == losses(whole)
    assert [each["step"] for each in of_kind(paused, "paused")] == [3] == [each["step"] for each in of_kind(paused, "resumed")]

    stopped = run_folder(tmp_path / "stopped", models["llama"])
    assert train(stopped, wants=["run"] * 5 + ["stop"]) == STOPPED
    assert (stopped / "adapter" / "adapter_model.safetensors").exists() and len(losses(stopped)["loss"]) == 5

    ended = run_folder(tmp_path / "ended", models["llama"])
    assert train(ended, wants=["run"] * 5 + ["end"]) == ENDED
    assert not (ended / "adapter").exists() and (ended / "checkpoints" / "step-5").exists()
    assert train(ended) == FINISHED
    assert losses(ended) == losses(whole)


def test_a_loss_that_is_no_number_ends_the_run_with_a_reason(train: Train, models: dict[str, Path], tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", models["llama"])
    assert train(folder, nan_at=11) == FAILED  # 21 rows are 5 steps of two batches and one of one
    (failed,) = of_kind(folder, "failed")
    assert failed["reason"] == "nan" and "step 6" in failed["message"] and "learning rate" in failed["hint"]
    assert (folder / "checkpoints" / "step-4").exists() and not (folder / "adapter").exists()
    damaged = run_folder(tmp_path / "damaged", models["llama"])
    assert train(damaged, nan_held_out=True) == FAILED
    assert "of the model itself" in of_kind(damaged, "failed")[0]["message"] and not of_kind(damaged, "step")


@pytest.mark.parametrize(
    ("kind", "more", "plan"),
    [
        ("llama", {}, {}),
        ("llama", {"num_key_value_heads": 1}, {"masked": True}),
        ("llama", {}, {"dropout": 0.1}),
        ("llama", {}, {"method": "full"}),
        ("qwen3", {"head_dim": 32}, {}),
        ("gemma3_text", {"head_dim": 32}, {}),
    ],
)
def test_what_a_step_keeps_is_what_the_estimate_counts(
    kind: str, more: dict[str, Any], plan: dict[str, Any], train: Train, tmp_path: Path
) -> None:
    config: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 176,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "vocab_size": 96,
    }
    config |= {"num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 1, **more}
    told = {"method": "lora", "rank": 4, "dropout": 0.0, "packed": bool(plan.get("masked")), "tokens": 64} | plan
    assert train(count=config, kind=kind, into=str(tmp_path / "kept"), **told) == 0
    shape = shape_from_config({**config, "model_type": kind}, None)
    settings = TrainingPlan(rank=4, wide=True, **plan)
    counted = sum(kept_elements(shape, layer, settings) for layer in shape.layers)
    assert int((tmp_path / "kept").read_text()) / 64 == pytest.approx(counted, rel=0.06)


def test_memory_that_runs_out_ends_the_run_and_it_can_go_on(train: Train, models: dict[str, Path], tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", models["llama"])
    assert train(folder, short_at=2 * 7) == FAILED
    assert of_kind(folder, "failed")[0]["reason"] == "memory"
    record = json.loads((folder / "settings.json").read_text())
    record["settings"] |= {"batch": 1, "accumulation": 4}
    (folder / "settings.json").write_text(json.dumps(record))
    assert train(folder) == FINISHED
    assert [step for step, _ in losses(folder)["loss"]] == list(range(1, 9))


def test_an_encoder_is_refused(train: Train, tmp_path: Path) -> None:
    assert train(make=str(tmp_path / "model"), kind="bert") == 0
    folder = run_folder(tmp_path / "run", tmp_path / "model")
    assert train(folder) == FAILED
    assert "encoders" in of_kind(folder, "failed")[0]["message"] and not of_kind(folder, "step")


def test_a_checkpoint_that_cannot_be_written_is_one_sentence(train: Train, models: dict[str, Path], tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", models["llama"])
    (folder / "checkpoints").write_text("in the way")
    assert train(folder) == FAILED
    (failed,) = of_kind(folder, "failed")
    assert failed["reason"] == "disk" and failed["message"].startswith("step-4 could not be written") and failed["hint"]


def test_a_damaged_checkpoint_is_passed_over(train: Train, models: dict[str, Path], whole: Path, tmp_path: Path) -> None:
    damaged = run_folder(tmp_path / "damaged", models["llama"])
    assert train(damaged, wants=["run"] * 7 + ["end"]) == ENDED
    (damaged / "checkpoints" / "step-7" / "weights.safetensors").write_bytes(b"nothing")
    assert train(damaged) == FINISHED
    assert "step 7 is damaged" in of_kind(damaged, "warning")[0]["message"]
    assert losses(damaged) == losses(whole)


def test_the_script_runs_by_itself_where_nothing_of_playground_is(
    train: Train, models: dict[str, Path], tmp_path: Path
) -> None:
    folder = run_folder(tmp_path / "run", tmp_path / "not here", steps=2)
    shutil.copyfile(ROOT / "playground" / "workers" / "run_script.py", tmp_path / "train.py")
    assert train(alone=str(tmp_path / "train.py"), arguments=[str(folder), "--model", str(models["llama"])]) == 0
    assert of_kind(folder, "finished") and (folder / "adapter" / "adapter_model.safetensors").exists()


def test_a_run_is_tracked_where_its_settings_say_and_goes_on_without(
    train: Train, models: dict[str, Path], tmp_path: Path
) -> None:
    fake = tmp_path / "site" / "mlflow"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text("")
    (fake / "entities.py").write_text("Metric = Param = RunTag = lambda *values: values\n")
    (fake / "tracking.py").write_text(
        "class MlflowClient:\n"
        "    def __init__(self, uri): self.file = open(uri.removeprefix('file:'), 'w')\n"
        "    def get_experiment_by_name(self, name): return type('E', (), {'experiment_id': '1'})\n"
        "    def create_run(self, experiment, run_name): return type('R', (), {'info': type('I', (), {'run_id': 'r'})})\n"
        "    def log_batch(self, run, metrics=(), params=(), tags=()):\n"
        "        print(*metrics, sep='\\n', file=self.file, flush=True)\n"
        "        if len(metrics) and 'broken' in self.file.name: raise OSError('the disk is full')\n"
        "    def set_tag(self, *values): print(values, file=self.file)\n"
        "    def log_artifacts(self, *values): print(values, file=self.file)\n"
        "    def set_terminated(self, *values): print(values, file=self.file, flush=True)\n"
    )
    whole = run_folder(tmp_path / "whole", models["llama"], steps=2, tracking=f"file:{tmp_path / 'whole.txt'}")
    assert train(whole, path=str(fake.parent)) == FINISHED and not of_kind(whole, "warning")
    heard = (tmp_path / "whole.txt").read_text()
    assert all(f"('loss', {value}, " in heard for _, value in losses(whole)["loss"]) and "('r', 'FINISHED')" in heard
    broken = run_folder(tmp_path / "broken", models["llama"], steps=2, tracking=f"file:{tmp_path / 'broken.txt'}")
    assert train(broken, path=str(fake.parent)) == FINISHED and losses(broken) == losses(whole)
    assert [each["message"] for each in of_kind(broken, "warning")] == [
        "MLflow was given up: the disk is full. The training goes on."
    ]
    missing = run_folder(tmp_path / "missing", models["llama"], tracking="file:/nowhere", steps=2)
    assert train(missing, hidden=["mlflow"]) == FAILED
    assert "mlflow" in of_kind(missing, "failed")[0]["message"] and "playground[track]" in of_kind(missing, "failed")[0]["hint"]


def test_a_paged_optimizer_is_refused_on_a_processor(train: Train, models: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    folder = run_folder(tmp_path / "run", models["llama"], optimizer="paged-adamw-8bit", device="cpu")
    assert train(folder) == FAILED
    (failed,) = of_kind(folder, "failed")
    assert "graphics card" in failed["message"] and "adamw-8bit" in failed["hint"]
