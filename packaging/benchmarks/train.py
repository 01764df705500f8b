"""A step of the training script, against the same step written plainly with transformers and peft; and memory, predicted and measured.

Both sides train the same adapter on the same rows in one process, a step of one after a step of the other; the ratio is the median of
pairs. The plain side does what a short script does: pad, forward with labels, backward, clip, step. Ours also writes its event, and
computes logits only where there are labels. Memory is that of short runs through the session, in processes of their own.
"""

from __future__ import annotations

import json
import queue
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playground.params import from_pairs, to_dict
from playground.paths import Home, resources, starter
from playground.training.settings import TrainSettings

MIB = 1 << 20
ROWS, LENGTH, PROMPT, BATCH = 64, 128, 48, 8


def measure(rounds: int, quick: bool = False) -> dict[str, object]:
    results: dict[str, object] = {}
    for method in ("lora", "qlora"):
        ratio, spread, ours = step_ratio(method, 4 if quick else 6 * rounds)
        results[f"{method}: step against a plain loop (at most 1.03)"] = ratio
        results[f"{method}: spread of the pairs, quartiles"] = spread
        results[f"{method}: seconds a step"] = ours
    for method in ("lora", "qlora"):
        predicted, took = peak(method, 4 if quick else 24)
        text = f"predicted {predicted / MIB:,.0f} MiB, measured {took / MIB:,.0f} MiB, {100 * (predicted - took) / took:+.1f} %"
        results[f"{method}: peak memory of the starter's run"] = text
        print(f"  {method}: {text}", file=sys.stderr, flush=True)
    return results


def rows() -> list[dict[str, list[int]]]:
    """Rows of many lengths, whose second part is learned."""
    rng = random.Random(1)
    found = []
    for _ in range(ROWS):
        length = rng.randint(LENGTH // 2, LENGTH)
        ids = [rng.randrange(3, 2000) for _ in range(length)]
        found.append({"input_ids": ids, "labels": [-100] * PROMPT + ids[PROMPT:]})
    return found


def step_ratio(method: str, pairs: int) -> tuple[float, str, float]:
    """Median ratio ours / plain, its quartiles, and the median seconds of ours."""
    from playground.workers import run_script

    data = rows()
    with tempfile.TemporaryDirectory(prefix="bench-train-") as place:
        folder = Path(place)
        (folder / "data").mkdir()
        (folder / "data" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in data))
        wishes = {"method": method, "batch": BATCH, "accumulation": 1, "steps": pairs + 2, "threads": 1}
        record = {
            "model": {"path": str(starter().parent), "base": "starter"},
            "settings": to_dict(from_pairs(TrainSettings, wishes)),
            "tokens": {"stop": [2]},
        }
        (folder / "settings.json").write_text(json.dumps(record))
        opened = run_script.Folder(folder)
        run = run_script.Run(opened)
        run.model = run_script.load_model(opened, run.model_path, run.device)
        run.optimizer = run_script.make_optimizer(run.model, run.settings)
        run.scaler = run_script.torch.amp.GradScaler("cpu", enabled=False)
        run.keeps_logits = True
        plain = Plain(run_script.load_model(opened, run.model_path, run.device), run.settings["learning_rate"])
        ratios, ours = [], []
        for step in range(pairs + 2):
            epoch, at = divmod(step, run.in_epoch)
            places = run_script.order(ROWS, run.settings["seed"], epoch)[at * BATCH : (at + 1) * BATCH]
            chosen = [data[each] for each in places]
            sides = {"ours": lambda step=step: run.step(step), "plain": lambda chosen=chosen: plain.step(chosen)}
            took = {}
            for name in sorted(sides, reverse=bool(step % 2)):
                began = time.perf_counter()
                sides[name]()
                took[name] = time.perf_counter() - began
            if step >= 2:  # the first ones warm up
                ratios.append(took["ours"] / took["plain"])
                ours.append(took["ours"])
        opened.close()
    low, middle, high = statistics.quantiles(ratios, n=4)
    return middle, f"{low:.3f} to {high:.3f}", statistics.median(ours)


class Plain:
    """A training loop as short as it can be."""

    def __init__(self, model: Any, rate: float) -> None:
        import torch

        self._model = model.train()
        self._parameters = [each for each in model.parameters() if each.requires_grad]
        self._optimizer = torch.optim.AdamW(self._parameters, lr=rate, weight_decay=0.01)

    def step(self, rows: list[dict[str, list[int]]]) -> float:
        import torch

        width = max(len(row["input_ids"]) for row in rows)
        ids = torch.tensor([row["input_ids"] + [0] * (width - len(row["input_ids"])) for row in rows])
        labels = torch.tensor([row["labels"] + [-100] * (width - len(row["labels"])) for row in rows])
        mask = torch.tensor([[1] * len(row["input_ids"]) + [0] * (width - len(row["input_ids"])) for row in rows])
        loss = self._model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())


def peak(method: str, steps: int) -> tuple[int, int]:
    """Bytes predicted before the start, and taken at most."""
    from playground.session import Session
    from playground.session.training_jobs import RunChanged

    with tempfile.TemporaryDirectory(prefix="bench-train-") as place:
        session, heard = Session(Home(Path(place))), queue.SimpleQueue[Any]()
        session.subscribe(heard.put)
        session.start()
        try:
            example = str(resources() / "examples" / "persona.jsonl")
            run_id = session.training.start("starter", example, {"method": method, "steps": steps})
            while True:
                event = heard.get(timeout=600)
                if isinstance(event, RunChanged) and event.run.id == run_id and event.run.ended:
                    break
        finally:
            session.close()
        return int(event.run.summary["predicted"]["total"]), int(event.run.summary["peak_memory"])
