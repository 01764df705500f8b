"""Train the starter model on a processor. A killed run goes on from its last checkpoint.

    python packaging/starter/train.py OUT --cpu-seconds 6000 [--until 21:03] [--start FOLDER]

OUT gets `tokenizer/`, `checkpoint.pt` and `train.log`. Training ends after so many processor
seconds, or at the given hour (UTC) if that comes first, and the learning rate falls to nothing just
then. `--start` begins with the weights and tokenizer of a finished model instead of from nothing.
README.md says which settings of the C library make it fast.
"""

from __future__ import annotations

import argparse
import datetime
import os
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from conversation import conversation
from model import build_model
from muon import Muon
from rows import Rows, Stage
from safetensors.torch import load_file
from tokenizer import START_ID, render, train_tokenizer
from torch.nn import functional
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

RATE = 3e-3
WARM_UP_STEPS = 40
FALL_FROM = 0.4  # share of the training after which the learning rate falls
SAVE_EVERY = 90.0  # seconds

# Stages: up to which share of the training, and the length and number of rows in a batch.
STAGES: list[tuple[Stage, float, int, int]] = [
    ("focus", 0.40, 256, 24),
    ("mix", 0.62, 256, 24),
    ("long", 1.00, 1024, 6),
]


@dataclass
class Progress:
    """How far the run is; saved with every checkpoint."""

    step: int = 0
    tokens: int = 0
    cpu: float = 0.0
    started: float = 0.0
    loss: float = 0.0


def weighted_loss(model: LlamaForCausalLM, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Compute the mean cross entropy of the next tokens, each with its weight."""
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits
    losses = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return (losses * weights.flatten()).sum() / weights.sum()


@torch.no_grad()
def quick_look(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, count: int = 48, size: int = 256
) -> dict[str, float]:
    """Return, per skill, how many held-out answers are the most likely ones token for token.

    Cheap, and strict: where several wordings are right, one of them counts.
    """
    result = {}
    for skill in ("repeat", "reverse", "remember", "facts", "sums"):
        rng = random.Random(5)
        turns = 4 if skill == "remember" else 1
        chats = [conversation(rng, "held", last=skill, turns=turns) for _ in range(count)]
        rows = [tokenizer.encode(render(chat), add_special_tokens=False) for chat in chats]
        rows = [row for row in rows if len(row) <= size]
        ids = torch.tensor([row + [0] * (size - len(row)) for row in rows])
        best = torch.cat([model(input_ids=part).logits.argmax(-1) for part in ids.split(24)])
        right = 0
        for row, guesses in zip(rows, best.tolist(), strict=True):
            first = max(place for place, token in enumerate(row) if token == START_ID) + 3
            right += guesses[first - 1 : len(row) - 2] == row[first:-1]
        result[skill] = round(right / len(rows), 2)
    return result


def schedule(step: int, done: float) -> float:
    """Return the learning rate: a short rise, a plateau, a straight fall."""
    rise = min(1.0, (step + 1) / WARM_UP_STEPS)
    fall = 1.0 if done < FALL_FROM else max(0.005, (1 - done) / (1 - FALL_FROM))
    return RATE * rise * fall


def end_time(clock: str | None) -> float:
    """Turn "21:03" (UTC, today) into seconds since 1970; None means no limit."""
    if clock is None:
        return float("inf")
    hour, minute = map(int, clock.split(":"))
    now = datetime.datetime.now(datetime.UTC)
    return now.replace(hour=hour, minute=minute, second=0).timestamp()


class Run:
    """One training run and its folder."""

    def __init__(self, out: Path, start: Path | None) -> None:
        """Begin, or go on from the checkpoint in `out`."""
        out.mkdir(parents=True, exist_ok=True)
        self._checkpoint = out / "checkpoint.pt"
        self._log: TextIO = (out / "train.log").open("a")
        if not (out / "tokenizer").exists():
            first = AutoTokenizer.from_pretrained(start) if start else train_tokenizer()
            first.save_pretrained(out / "tokenizer")
        self.tokenizer = AutoTokenizer.from_pretrained(out / "tokenizer")
        torch.manual_seed(1)
        self.model = build_model()
        if start:
            self.model.load_state_dict(load_file(start / "model.safetensors"), strict=False)
        named = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        is_matrix = {n: p.ndim == 2 and "embed_tokens" not in n for n, p in named}
        self.muon = Muon(p for n, p in named if is_matrix[n])
        self.adam = torch.optim.AdamW([p for n, p in named if not is_matrix[n]], betas=(0.9, 0.95), weight_decay=0.0)
        self.progress = Progress(started=time.time())
        if self._checkpoint.exists():
            saved = torch.load(self._checkpoint, weights_only=True)
            self.model.load_state_dict(saved["model"])
            self.muon.load_state_dict(saved["muon"])
            self.adam.load_state_dict(saved["adam"])
            self.progress = Progress(**saved["progress"])
        self.say(f"from step {self.progress.step}")

    def say(self, text: str) -> None:
        """Write a line to the log."""
        print(time.strftime("%H:%M:%S"), text, file=self._log, flush=True)

    def save(self) -> None:
        """Write the checkpoint; a kill in between leaves the old one."""
        fresh = self._checkpoint.with_suffix(".new")
        torch.save(
            {
                "model": self.model.state_dict(),
                "muon": self.muon.state_dict(),
                "adam": self.adam.state_dict(),
                "progress": asdict(self.progress),
            },
            fresh,
        )
        fresh.replace(self._checkpoint)

    def step(self, ids: torch.Tensor, weights: torch.Tensor, rate: float) -> None:
        """Take one step."""
        loss = weighted_loss(self.model, ids, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.muon.step(rate)
        for group in self.adam.param_groups:
            group["lr"] = rate
        self.adam.step()
        self.model.zero_grad(set_to_none=True)
        now = self.progress
        now.step += 1
        now.tokens += weights.numel()
        now.loss = loss.item() if now.step == 1 else 0.96 * now.loss + 0.04 * loss.item()

    def train(self, cpu_seconds: float, until: float) -> None:
        """Train until the time is used up."""
        now = self.progress
        cpu_before = time.process_time() - now.cpu
        last_save = time.time()
        stage_now: Stage | None = None
        while True:
            now.cpu = time.process_time() - cpu_before
            done = max(now.cpu / cpu_seconds, (time.time() - now.started) / (until - now.started))
            if done >= 1:
                break
            stage, _, length, count = next(entry for entry in STAGES if done < entry[1])
            if stage != stage_now:
                stage_now, rows = stage, Rows(self.tokenizer, length, stage, seed=1000 + now.step)
            self.step(*rows.batch(count), schedule(now.step, done))
            if now.step % 10 == 0:
                self.say(
                    f"step {now.step} done {done:.3f} {stage} tokens {now.tokens / 1e6:.2f}M"
                    f" loss {now.loss:.4f} cpu {now.cpu:.0f}s"
                    f" {now.tokens / max(now.cpu, 1):.0f} tokens/cpu-s"
                )
            if now.step % 100 == 0:
                self.say(f"held-out, token for token: {quick_look(self.model, self.tokenizer)}")
            if time.time() - last_save > SAVE_EVERY:
                last_save = time.time()
                self.save()
        self.save()
        self.say(f"ended: {now} {quick_look(self.model, self.tokenizer)}")


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description="Train the starter model.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--cpu-seconds", type=float, default=6000)
    parser.add_argument("--until", metavar="HH:MM", help="hour in UTC")
    parser.add_argument("--start", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    Run(arguments.out, arguments.start).train(arguments.cpu_seconds, end_time(arguments.until))


if __name__ == "__main__":
    main()
