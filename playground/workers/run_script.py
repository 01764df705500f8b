"""Trains a language model on a run folder: `python train.py RUN_FOLDER [--model MODEL_FOLDER]`. The same command goes on after a kill.

Needs torch, transformers, peft and safetensors (bitsandbytes for QLoRA and 8-bit optimizers), and nothing of Playground, whose training
worker runs this same module. A run folder holds:

    settings.json              the model's place, the settings, where the data came from
    data/train.jsonl           {"input_ids": [...], "labels": [...]} a line; a packed row also has "lengths" of the texts in it
    data/validation.jsonl      the same, may be empty; a label of -100 carries no loss
    probes.json                prompts that the model answers at every evaluation
    events.jsonl               (written) what happened, one JSON object a line
    checkpoints/step-N/        (written) the trained weights and the optimizer's state, as safetensors and JSON
    adapter/ or model/         (written) the result, whole or not there
    control.json               {"want": "run" | "pause" | "stop" | "end"}: stop ends with a result, end only with a checkpoint

`tracking.py` beside this file carries events on to TensorBoard and MLflow where the settings name them.

A loop of its own in place of transformers' Trainer, for three reasons. Trainer's checkpoints are pickles, written under their final name.
Here the order of the data is a function of (seed, epoch), the learning rate one of the step, and all random draws of a step one of
(seed, step): a run that goes on from a checkpoint computes the very numbers that it would have computed without a break. And logits are
computed only where a label asks for one, which saves most of the memory that they take.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import functools
import gc
import importlib.util
import inspect
import json
import math
import os
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", USE_HUB_KERNELS="0")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin while they wait take the processor from those that work

import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy

IGNORED = -100
KEPT = 2
"""checkpoints that stay, beside the best"""
RARELY = 250
"""steps between evaluations at most, where nobody says how many: a checkpoint is made with each"""
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LINEAR = "all-linear"
LOWER = "Lower the learning rate; the last good checkpoint is kept."


class Failure(Exception):
    """A reason to end that a person can do something about."""

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.reason, self.message, self.hint = reason, message, hint


class Folder:
    """The run folder: what it says, and what is noted down in it."""

    def __init__(self, path: Path, hear: Callable[[dict[str, Any]], None] = lambda event: None) -> None:
        self.path, self._hear = path, hear
        self.record = json.loads((path / "settings.json").read_text(encoding="utf-8"))
        self.settings: dict[str, Any] = self.record["settings"]
        self._tracker: Any = None
        self._events = (path / "events.jsonl").open("ab+")
        if self._events.tell():  # a kill may have cut the last line
            self._events.seek(-1, os.SEEK_END)
            if self._events.read(1) != b"\n":
                self._events.write(b"\n")

    def tell(self, event: str, **fields: Any) -> None:
        line = {"event": event, "time": round(time.time(), 3), **fields}
        self._events.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        self._events.flush()
        self._hear(line)
        if self._tracker is not None:
            self._tracker.hear(line)
            self._warn(self._tracker.said())

    def track(self) -> None:
        """Lets tracking.py beside this file hear what happens from here on, where the settings wish for that. `Failure` where it cannot."""
        if not (self.settings.get("tensorboard") or self.settings.get("tracking")):
            return
        self.tell("loading", what="tracking")
        spec = importlib.util.spec_from_file_location("playground_tracking", Path(__file__).with_name("tracking.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        try:
            self._tracker = module.tracker(self.path, self.record)
        except module.CannotTrack as error:
            raise Failure("settings", error.message, error.hint) from None

    def _warn(self, sentences: list[str]) -> None:
        for each in sentences:
            self.tell("warning", message=each)

    def close(self) -> None:
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            self._warn(tracker.close())
        os.fsync(self._events.fileno())
        self._events.close()

    def wanted(self) -> str:
        return wanted(self.path)


def wanted(path: Path) -> str:
    """What control.json of a run folder asks for."""
    try:
        return str(json.loads((path / "control.json").read_text(encoding="utf-8")).get("want", "run"))
    except (OSError, ValueError, AttributeError):
        return "run"


# -- data


class Rows:
    """A file of rows, read line by line when they are wanted: only their places are kept in memory."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb") if path.exists() else None
        self._places: list[int] = []
        place = 0
        for line in self._file or ():
            if line.strip():
                self._places.append(place)
            place += len(line)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        assert self._file is not None
        self._file.seek(self._places[index])
        row: dict[str, list[int]] = json.loads(self._file.readline())
        return row


@functools.lru_cache(maxsize=1)  # asked for at every step of an epoch
def order(count: int, seed: int, epoch: int) -> list[int]:
    """In which order an epoch goes through the rows."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=generator).tolist()


def batches(rows: list[dict[str, list[int]]], size: int) -> Iterator[dict[str, torch.Tensor]]:
    """Rows of like length together, padded at the end; padding comes after everything, so that causal attention never sees it."""
    rows = sorted(rows, key=lambda row: len(row["input_ids"]))
    for start in range(0, len(rows), size):
        yield collate(rows[start : start + size])


def collate(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """One batch [rows, tokens]. Positions are given for packed rows only: they begin again with each text, which keeps texts apart."""
    width = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), width), IGNORED, dtype=torch.long)
    packed = any(len(row.get("lengths", ())) > 1 for row in rows)
    positions = torch.zeros(len(rows), width, dtype=torch.long)
    for number, row in enumerate(rows):
        length = len(row["input_ids"])
        ids[number, :length] = torch.tensor(row["input_ids"])
        labels[number, :length] = torch.tensor(row["labels"])
        parts = [*row.get("lengths", [length]), width - length]
        positions[number] = torch.cat([torch.arange(part) for part in parts])
        for start in [0, *torch.tensor(parts).cumsum(0).tolist()[:-1]]:
            if start < width:
                labels[number, start] = IGNORED  # nothing comes before a text that could predict its first token
    return {"input_ids": ids, "labels": labels} | ({"position_ids": positions} if packed else {})


# -- the model


def runtime(settings: dict[str, Any]) -> int:
    """Bytes of main memory that the libraries take by themselves, with all that a run needs imported."""
    import transformers.modeling_utils  # noqa: F401  # what loading a model imports, whichever it is

    if settings["method"] == "qlora" or settings["optimizer"] != "adamw":
        import bitsandbytes  # noqa: F401
    if settings["method"] != "full":
        with sparing_bitsandbytes():
            import peft  # noqa: F401
    return memory(torch.device("cpu"))


def load_model(folder: Folder, path: str, device: torch.device) -> Any:
    """The model with what is to be trained. `Failure` where it cannot be trained so."""
    import transformers
    from transformers import AutoModelForCausalLM

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)  # what libraries say to each other
    settings, more = folder.settings, {}
    dtype = TYPES[settings["precision"]]
    if settings["method"] == "qlora":
        more["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
    if settings["method"] == "full":
        dtype = torch.float32  # small steps would be lost in a shorter format
    model = AutoModelForCausalLM.from_pretrained(
        path,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=dtype,
        device_map={"": device},
        **more,
    )
    model.config.use_cache = False
    for each in model.modules():
        if hasattr(each, "support_avx512bf16_for_cpu"):
            # bitsandbytes would pack the weights anew at the first evaluation, for a kernel with other numbers and without gradients
            each.support_avx512bf16_for_cpu = False
    if settings["method"] == "qlora" and device.type == "cpu":
        for each in model.parameters():  # what was not quantized would hold the whole file in memory that it was mapped from
            if not hasattr(each, "quant_state"):
                each.data = each.data.clone()
    if settings["method"] == "full":
        model.requires_grad_(True)
    else:
        model = with_adapter(model, settings)
    if settings["checkpointing"]:
        inner = model if settings["method"] == "full" else model.base_model.model
        enable = getattr(inner, "activation_checkpointing_enable", None) or inner.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    return model


@contextlib.contextmanager
def sparing_bitsandbytes() -> Iterator[None]:
    """Within the block peft finds no bitsandbytes, unless the model's own quantized layers have brought it.

    Where it is installed, peft imports it for every adapter, and with it the whole of torch's compiler: a quarter of the time that a
    training or a model with an adapter takes to start, for layers that are not there.
    """
    spared = sys.modules.setdefault("bitsandbytes", None) is None  # type: ignore[arg-type]  # importing it fails
    try:
        yield
    finally:
        if spared:
            del sys.modules["bitsandbytes"]
            for name in ("is_bnb_available", "is_bnb_4bit_available"):  # peft remembers that there was none
                getattr(getattr(sys.modules.get("peft.import_utils"), name, None), "cache_clear", lambda: None)()


@sparing_bitsandbytes()
def with_adapter(model: Any, settings: dict[str, Any]) -> Any:
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    if settings["method"] == "qlora":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    targets = settings["targets"]
    config = LoraConfig(
        r=settings["rank"],
        lora_alpha=settings["alpha"],
        lora_dropout=settings["dropout"],
        target_modules=LINEAR if LINEAR in targets else list(targets),
        bias="none",
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise Failure("settings", f"The adapter cannot be put on: {error}", "Set targets to all-linear.") from error


def trained(model: Any) -> dict[str, torch.nn.Parameter]:
    return {name: each for name, each in model.named_parameters() if each.requires_grad}


def fingerprint(model: Any) -> int:
    """A number that changes when weights do which are not trained."""
    total = 0
    for each in model.parameters():
        if not each.requires_grad:
            whole = each.data.contiguous().view(-1).view(torch.uint8)
            width = next(width for width in (8, 4, 2, 1) if whole.numel() % width == 0)
            kind = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}[width]
            total = (total * 31 + int(whole.view(kind).sum(dtype=torch.int64))) % (1 << 61)
    return total


def loss_of(model: Any, batch: dict[str, torch.Tensor], device: torch.device, keeps_logits: bool) -> torch.Tensor:
    """The sum over all labels of a batch, in nats. Logits are computed where some row has a label, and nowhere else."""
    labels = batch["labels"][:, 1:]
    where = (labels != IGNORED).any(0).nonzero().flatten()
    targets = labels[:, where].to(device)
    given = {name: batch[name].to(device) for name in ("input_ids", "position_ids") if name in batch}
    more = {"logits_to_keep": where.to(device)} if keeps_logits else {}
    logits = model(**given, use_cache=False, **more).logits
    if not keeps_logits:
        logits = logits[:, where.to(device)]
    return cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")


def make_optimizer(model: Any, settings: dict[str, Any]) -> torch.optim.Optimizer:
    """AdamW; norms and biases are not drawn towards zero."""
    parameters = list(trained(model).values())
    groups = [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": settings["weight_decay"]},
        {"params": [each for each in parameters if each.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if settings["optimizer"] == "adamw":
        return torch.optim.AdamW(groups, lr=settings["learning_rate"])
    if settings["optimizer"].startswith("paged") and parameters[0].device.type == "cpu":
        raise Failure("settings", "A paged optimizer needs a graphics card.", "Choose adamw-8bit, or adamw.")
    import bitsandbytes

    kinds = {"adamw-8bit": bitsandbytes.optim.AdamW8bit, "paged-adamw-8bit": bitsandbytes.optim.PagedAdamW8bit}
    made: torch.optim.Optimizer = kinds[settings["optimizer"]](groups, lr=settings["learning_rate"])
    return made


def learning_rate(settings: dict[str, Any], step: int, steps: int) -> float:
    """Of a step, counted from 0: up in a line while it warms up, then as the schedule says, down to 0 at the end."""
    peak, warm = float(settings["learning_rate"]), math.ceil(settings["warmup"] * steps)
    if step < warm:
        return peak * (step + 1) / (warm + 1)
    done = (step - warm) / max(1, steps - warm)
    if settings["schedule"] == "linear":
        return peak * (1 - done)
    return peak * 0.5 * (1 + math.cos(math.pi * done)) if settings["schedule"] == "cosine" else peak


# -- checkpoints


def write_aside(target: Path, write: Callable[[Path], None]) -> None:
    """A folder that is whole when it has its name: written under another one, on the disk before it is renamed."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    for stale in target.parent.glob(f".{target.name}.*.part"):
        shutil.rmtree(stale, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        write(part)
        for file in part.rglob("*"):
            if file.is_file():
                with file.open("rb+") as opened:
                    os.fsync(opened.fileno())
    except Exception as error:
        shutil.rmtree(part, ignore_errors=True)
        if not isinstance(error, OSError) and "os error" not in str(
            error
        ):  # safetensors has an error of its own for the system's
            raise
        raise Failure(
            "disk",
            f"{target.name} could not be written ({error}).",
            "Make room on the disk, and go on with the run: its last checkpoint is whole.",
        ) from error
    old = target.with_name(f".{target.name}.old.part")
    if target.exists():
        os.replace(target, old)
    os.replace(part, target)
    shutil.rmtree(old, ignore_errors=True)
    with contextlib.suppress(OSError):  # names are written to the disk as well, where the system can do that
        parent = os.open(target.parent, os.O_RDONLY)
        os.fsync(parent)
        os.close(parent)


class Checkpoints:
    """The steps that a run can go on from."""

    def __init__(self, folder: Folder) -> None:
        self._folder, self._path = folder, folder.path / "checkpoints"
        self.best: tuple[float, int] = (math.inf, -1)
        """validation loss and step"""

    def steps(self) -> list[int]:
        found = [each.name.removeprefix("step-") for each in self._path.glob("step-*")]
        return sorted(int(each) for each in found if each.isdigit())

    def save(self, model: Any, optimizer: Any, step: int, more: dict[str, Any]) -> None:
        names = {id(each): name for name, each in trained(model).items()}
        states: dict[str, torch.Tensor] = {}
        scalars: dict[str, Any] = {}
        for parameter, state in optimizer.state.items():
            for key, value in state.items():
                place = f"{names[id(parameter)]}|{key}"
                if isinstance(value, torch.Tensor):
                    states[place] = value.detach().cpu().contiguous().clone()
                else:
                    scalars[place] = value

        def write(part: Path) -> None:
            save_file(
                {name: each.detach().cpu().contiguous() for name, each in trained(model).items()}, part / "weights.safetensors"
            )
            save_file(states, part / "optimizer.safetensors")
            state = {"step": step, "best": self.best, "scalars": scalars, **more}
            (part / "state.json").write_text(json.dumps(state), encoding="utf-8")

        write_aside(self._path / f"step-{step}", write)
        self._folder.tell("checkpoint", step=step, best=self.best[1] == step)
        for old in self.steps()[:-KEPT]:
            if old != self.best[1]:
                shutil.rmtree(self._path / f"step-{old}", ignore_errors=True)

    def load(self, model: Any, optimizer: Any = None, step: int = -1) -> dict[str, Any]:
        """Puts a checkpoint back, the newest whole one by default; what it noted, or nothing where there is none."""
        for number in [step] if step >= 0 else reversed(self.steps()):
            place = self._path / f"step-{number}"
            try:
                state: dict[str, Any] = json.loads((place / "state.json").read_text(encoding="utf-8"))
                weights = load_file(place / "weights.safetensors")
                saved = load_file(place / "optimizer.safetensors") if optimizer is not None else {}
            except Exception as error:  # whatever a damaged file makes the library raise
                self._folder.tell(
                    "warning", message=f"The checkpoint of step {number} is damaged ({error}); an earlier one is taken."
                )
                continue
            mine = trained(model)
            if set(mine) != set(weights):
                raise Failure("settings", "The checkpoint was made with other settings.", "Begin a new run.")
            with torch.no_grad():
                for name, each in mine.items():
                    each.copy_(weights[name])
            if optimizer is not None:
                for place_of, value in [*saved.items(), *state["scalars"].items()]:
                    name, _, key = place_of.rpartition("|")
                    on_device = isinstance(value, torch.Tensor) and key != "step"
                    optimizer.state[mine[name]][key] = value.to(mine[name].device) if on_device else value
            self.best = (state["best"][0], state["best"][1])
            return state
        return {}


# -- memory


def memory(device: torch.device, peak: bool = False) -> int:
    """Bytes that training takes now, or has taken at most: of the graphics card what was allocated, else of main memory what is resident."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device) if peak else torch.cuda.memory_allocated(device))
    with contextlib.suppress(OSError, StopIteration):
        name = "VmHWM:" if peak else "VmRSS:"
        with open("/proc/self/status", encoding="ascii") as file:
            return int(next(line for line in file if line.startswith(name)).split()[1]) * 1024
    with contextlib.suppress(ImportError):
        import psutil

        found = psutil.Process().memory_info()
        return int(getattr(found, "peak_wset", found.rss) if peak else found.rss)
    return 0


def spare_heap() -> None:
    """From here on what a tensor took goes back to the system at once, where this is glibc; page faults then cost some time.

    Its heap is no place for what comes and goes in large aligned pieces: before glibc 2.38 a hole hardly ever takes a piece of its own
    size again, so a step takes twice what it holds, and with activations that are computed again four times as much (measured).
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(-3, 128 << 10)  # M_MMAP_THRESHOLD, which else grows to 32 MiB by itself


def forget_peak(device: torch.device) -> None:
    """From here on a peak is that of training: what loading has left in the C library's heap goes back to the system."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError, TypeError):  # glibc has it, others do without
        ctypes.CDLL(None).malloc_trim(0)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


# -- the run


class Run:
    """One run in this process: made, then `go`."""

    def __init__(self, folder: Folder, model_path: str = "", wanted: Callable[[], str] | None = None) -> None:
        self.folder, self.settings = folder, folder.settings
        self.wanted = wanted or folder.wanted
        self.model_path = model_path or folder.record["model"]["path"]
        self.device = torch.device("cuda" if torch.cuda.is_available() and self.settings["device"] != "cpu" else "cpu")
        if self.settings["checkpointing"] and self.device.type == "cpu":
            spare_heap()  # whoever recomputes to save memory wants it saved
        if self.settings["threads"]:
            torch.set_num_threads(self.settings["threads"])
        self.rows, self.held_out = Rows(folder.path / "data/train.jsonl"), Rows(folder.path / "data/validation.jsonl")
        if not len(self.rows):
            raise Failure("data", "There is no row to train on.", "Check the dataset.")
        self.group = self.settings["batch"] * self.settings["accumulation"]
        self.in_epoch = math.ceil(len(self.rows) / self.group)
        self.steps = self.settings["steps"] or max(1, math.ceil(self.settings["epochs"] * self.in_epoch))
        self.every = self.settings["evaluate_every"] or min(RARELY, math.ceil(self.steps / 8))
        self.checkpoints = Checkpoints(folder)
        self.losses: list[list[float]] = []
        """of each evaluation: step and validation loss"""
        self.kept_best = False
        self.tokenizer: Any = None

    def go(self) -> str:
        """Trains to the end, or until it is asked to stop. Returns `finished`, `stopped` (with a result) or `ended` (with a checkpoint)."""
        tell, settings = self.folder.tell, self.settings
        tell("loading", what="the model")
        torch.manual_seed(settings["seed"])
        self.runtime = runtime(settings)
        self.model = model = load_model(self.folder, self.model_path, self.device)
        self.optimizer = make_optimizer(model, settings)
        inner = model if settings["method"] == "full" else model.base_model.model
        self.keeps_logits = "logits_to_keep" in inspect.signature(inner.forward).parameters
        fp16 = settings["precision"] == "fp16" and self.device.type == "cuda"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=fp16)
        before = fingerprint(model)
        state = self.checkpoints.load(model, self.optimizer)
        if state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])
        first, self.losses = state.get("step", 0), state.get("losses", [])
        forget_peak(self.device)
        tell(
            "started",
            step=first,
            steps=self.steps,
            steps_in_epoch=self.in_epoch,
            rows=len(self.rows),
            validation_rows=len(self.held_out),
            trained_parameters=sum(each.numel() for each in trained(model).values()),
            parameters=sum(each.numel() for each in model.parameters()),
            device=torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU",
            threads=torch.get_num_threads(),
            runtime_memory=self.runtime if self.device.type == "cpu" else 0,
            loaded_memory=memory(self.device),
            resumed=bool(state),
        )
        if not state:
            self.check_causal()
            self.check_packing()
            self.evaluate(0)
        outcome = self.loop(first)
        whole = fingerprint(model) == before
        peak = memory(self.device, peak=True)
        if outcome != "ended":
            self.write_result()
        tell(outcome, step=self.done, peak_memory=peak, base_unchanged=whole, best_step=self.checkpoints.best[1])
        return outcome

    def loop(self, first: int) -> str:
        outcome = "finished"
        self.done, self.saved = first, first
        for step in range(first, self.steps):
            if (want := self.hold(step)) != "run":
                outcome = {"stop": "stopped"}.get(want, "ended")
                break
            self.step(step)
            self.done = step + 1
            if self.done % self.every == 0 or self.done == self.steps:
                self.evaluate(self.done)
                self.save()
        if self.saved != self.done:
            self.save()
        return outcome

    def hold(self, step: int) -> str:
        """What is wanted now; waits while that is a pause, with everything saved."""
        want = self.wanted()
        if want == "pause":
            if step != self.saved:
                self.save()
            self.folder.tell("paused", step=step)
            while (want := self.wanted()) == "pause":
                time.sleep(0.1)
            if want == "run":
                self.folder.tell("resumed", step=step)
        return want

    def save(self) -> None:
        if not all(bool(each.isfinite().all()) for each in trained(self.model).values()):
            raise Failure("nan", f"The weights are no numbers any more at step {self.done}.", LOWER)
        self.checkpoints.save(
            self.model, self.optimizer, self.done, {"scaler": self.scaler.state_dict(), "losses": self.losses}
        )
        self.saved = self.done

    def step(self, step: int) -> None:
        """One step of the optimizer: a group of rows, in batches whose gradients add up, each label counting alike."""
        began, settings = time.perf_counter(), self.settings
        epoch, place = divmod(step, self.in_epoch)
        chosen = order(len(self.rows), settings["seed"], epoch)[place * self.group : (place + 1) * self.group]
        rows = [self.rows[each] for each in chosen]
        parts = list(batches(rows, settings["batch"]))
        labels = sum(int((part["labels"] != IGNORED).sum()) for part in parts)
        rate = learning_rate(settings, step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(settings["seed"] * 1_000_003 + step)
        self.model.train()
        total = torch.zeros((), device=self.device)
        for part in parts:
            with self.short_numbers():
                loss = loss_of(self.model, part, self.device, self.keeps_logits) / max(1, labels)
            self.scaler.scale(loss).backward()
            total += loss.detach()
        self.scaler.unscale_(self.optimizer)
        parameters = [each for group in self.optimizer.param_groups for each in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings["clip"] or math.inf)
        value, length = float(total), float(norm)
        if not math.isfinite(value) or (not math.isfinite(length) and not self.scaler.is_enabled()):
            raise Failure(
                "nan",
                f"The loss became {value} at step {step + 1}."
                if not math.isfinite(value)
                else f"The gradient became {length} at step {step + 1}.",
                LOWER,
            )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        seconds = time.perf_counter() - began
        tokens = sum(len(row["input_ids"]) for row in rows)
        self.folder.tell(
            "step",
            step=step + 1,
            loss=value,
            learning_rate=rate,
            grad_norm=length,
            epoch=round((step + 1) / self.in_epoch, 4),
            tokens=tokens,
            labels=labels,
            seconds=round(seconds, 6),
            tokens_per_s=round(tokens / seconds, 2),
            memory=memory(self.device),
        )

    def short_numbers(self) -> Any:
        dtype = TYPES[self.settings["precision"]]
        return torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)

    # -- evaluations

    @torch.no_grad()
    def evaluate(self, step: int) -> None:
        """Validation loss, then a reply to each probe: tuned, and before the first step the model's own."""
        self.model.eval()
        if len(self.held_out):
            total, labels = 0.0, 0
            for start in range(0, len(self.held_out), self.settings["batch"]):
                rows = [self.held_out[each] for each in range(start, min(start + self.settings["batch"], len(self.held_out)))]
                batch = collate(rows)
                with self.short_numbers():
                    total += float(loss_of(self.model, batch, self.device, self.keeps_logits))
                labels += int((batch["labels"] != IGNORED).sum())
            loss = total / max(1, labels)
            if not math.isfinite(loss):
                hint = LOWER if step else "Its weights may be damaged; or choose bf16 or fp32 as precision."
                raise Failure(
                    "nan", f"The validation loss is {loss} {f'at step {step}' if step else 'of the model itself'}.", hint
                )
            self.losses.append([step, loss])
            if step and loss < self.checkpoints.best[0]:
                self.checkpoints.best = (loss, step)
            self.folder.tell("evaluation", step=step, loss=loss, perplexity=math.exp(min(loss, 50.0)), labels=labels)
        for number, text in enumerate(self.replies()):
            self.folder.tell("sample", step=step, probe=number, reply=text, base=step == 0)

    def replies(self) -> list[str]:
        probes = self.folder.path / "probes.json"
        prompts = json.loads(probes.read_text(encoding="utf-8")) if probes.exists() else []
        if not prompts:
            return []
        if self.tokenizer is None:
            from transformers import AutoTokenizer

            self.tokenizer = AutoTokenizer.from_pretrained(self.model_path, local_files_only=True, trust_remote_code=False)
        stop = self.folder.record["tokens"]["stop"] or None
        found = []
        for prompt in prompts:
            ids = torch.tensor([prompt["input_ids"]], device=self.device)
            with self.short_numbers():
                said = self.model.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    max_new_tokens=self.settings["probe_tokens"],
                    do_sample=False,
                    use_cache=True,
                    eos_token_id=stop,
                    pad_token_id=stop[0] if stop else 0,
                )[0, ids.shape[1] :]
            found.append(str(self.tokenizer.decode(said, skip_special_tokens=True)))
        return found

    @torch.no_grad()
    def check_causal(self) -> None:
        """`Failure` for an encoder: where a token sees those after it there is nothing to predict."""
        ids = self.rows[0]["input_ids"][:16]
        if len(ids) < 2:
            return
        self.model.eval()
        pair = (ids, ids[:1] + [token - 1 if token else 1 for token in ids[1:]])
        first, second = (self.model(input_ids=torch.tensor([each], device=self.device)).logits[0, 0] for each in pair)
        near = 1e-4 if first.dtype == torch.float32 else 0.02
        if float((first - second).abs().max()) > near * float(first.abs().max()):
            raise Failure(
                "settings",
                "In this model a token sees those after it, as in encoders: it cannot learn to write.",
                "Choose a model that writes.",
            )

    @torch.no_grad()
    def check_packing(self) -> None:
        """`Failure` where a model lets the texts of a packed row see each other."""
        packed = next(
            (row for row in (self.rows[each] for each in range(min(8, len(self.rows)))) if len(row.get("lengths", ())) > 1),
            None,
        )
        if packed is None:
            return
        self.model.eval()
        first, second = packed["lengths"][:2]
        ids = torch.tensor([packed["input_ids"][: first + second]], device=self.device)
        positions = torch.cat([torch.arange(first), torch.arange(second)])[None].to(self.device)
        together = self.model(input_ids=ids, position_ids=positions, use_cache=False).logits[0, first:].float()
        alone = self.model(input_ids=ids[:, first:], use_cache=False).logits[0].float()
        if float((together - alone).abs().max()) > 0.02 * float(alone.abs().max()) + 1e-3:
            raise Failure("settings", "In this model the texts of a packed row would see each other.", "Turn packing off.")

    # -- the result

    def write_result(self) -> None:
        """The adapter (or the model) with its card: of the best evaluation where that is wanted and known."""
        self.best = self.checkpoints.best[1]
        self.kept_best = self.settings["keep"] == "best" and self.best in self.checkpoints.steps()
        if self.kept_best and self.best != self.done:
            self.checkpoints.load(self.model, step=self.best)
        full = self.settings["method"] == "full"

        def write(part: Path) -> None:
            if full:
                self.model.save_pretrained(part)
                for name in (
                    "tokenizer.json",
                    "tokenizer_config.json",
                    "tokenizer.model",
                    "chat_template.jinja",
                    "special_tokens_map.json",
                    "vocab.json",
                    "merges.txt",
                ):
                    if (source := Path(self.model_path) / name).exists():
                        shutil.copyfile(source, part / name)
            else:
                self.model.save_pretrained(part, save_embedding_layers=False)
                config = part / "adapter_config.json"
                said = json.loads(config.read_text(encoding="utf-8")) | {
                    "base_model_name_or_path": self.folder.record["model"]["base"]
                }
                config.write_text(json.dumps(said, indent=2), encoding="utf-8")
            if card := self.folder.record.get("card"):
                (part / "README.md").write_text(card.replace("{{results}}", self.results()), encoding="utf-8")

        write_aside(self.folder.path / ("model" if full else "adapter"), write)

    def results(self) -> str:
        """What came of it, as a paragraph of the card."""
        said = f"{self.done} of {self.steps} steps, {self.group} rows each."
        if len(self.losses) > 1:
            kept = self.best if self.kept_best else self.done
            known = {step: loss for step, loss in self.losses}  # noqa: C416  # rows of JSON are lists
            now = known.get(kept, self.losses[-1][1])
            said += f" Validation loss {self.losses[0][1]:.4f} before, {now:.4f} at step {kept}, whose weights these are."
        return said


def train(
    path: Path,
    model_path: str = "",
    hear: Callable[[dict[str, Any]], None] = lambda event: None,
    wanted: Callable[[], str] | None = None,
) -> str:
    """Trains a run folder; how it ended: `finished`, `stopped`, `ended` or `failed`. Every event is in events.jsonl, and `hear` hears it."""
    folder = Folder(path, hear)
    try:
        try:
            folder.track()
            return Run(folder, model_path, wanted).go()
        except Failure as failure:
            folder.tell("failed", reason=failure.reason, message=failure.message, hint=failure.hint)
        except (MemoryError, RuntimeError) as error:
            said = str(error)
            if not isinstance(error, MemoryError) and "out of memory" not in said and "DefaultCPUAllocator" not in said:
                raise
            folder.tell(
                "failed",
                reason="memory",
                message="Memory ran out while training.",
                hint="Lower batch, or turn checkpointing on.",
            )
        return "failed"
    except Exception as error:
        folder.tell("failed", reason="bug", message=f"{type(error).__name__}: {error}", hint="")
        raise
    finally:
        folder.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="Trains a run folder; goes on where a killed run was.")
    parser.add_argument("run", type=Path, help="the run folder")
    parser.add_argument("--model", default="", help="the model's folder, where it lies elsewhere than settings.json says")
    options = parser.parse_args()
    asked: list[str] = []
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), lambda *_: asked.append("end"))
    outcome = train(
        options.run,
        options.model,
        lambda event: print(json.dumps(event), flush=True),
        lambda: asked[0] if asked else wanted(options.run),
    )
    return 1 if outcome == "failed" else 0


if __name__ == "__main__":
    sys.exit(main())
