"""The folders of training: which model folder a name means, the run folder before it is trained, and the result under its own name.

Reads headers and copies files; starts nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import playground
from playground.errors import ModelFileError, NotFoundError
from playground.history.runs import RunRow
from playground.models import beside
from playground.params import to_dict
from playground.paths import Home
from playground.protocol import RunPrepared
from playground.session.training_jobs import TrainPlan
from playground.training.runs import FORMAT, write_record

SCRIPT = Path(playground.__file__).parent / "workers" / "run_script.py"
TRACKING = SCRIPT.with_name("tracking.py")
UNTOLD = ("threads", "device", "probe_tokens", "tensorboard", "tracking")
"""settings that the card leaves out: nothing of the result depends on them, and a place may hold a password"""


def training_folder(path: Path) -> Path:
    """The folder in Hugging Face layout of a model. ModelFileError for a GGUF file that has none beside it."""
    if path.is_dir():
        if (path / "adapter_config.json").exists() and not (path / "config.json").exists():
            raise ModelFileError(f"{path.name} is an adapter, not a model.", "Name the model that it was made for.")
        if not (path / "config.json").exists():
            raise ModelFileError(f"{path} has no config.json.", "Choose a folder in Hugging Face layout.")
        return path
    if (path.parent / "config.json").exists() and any(path.parent.glob("*.safetensors")):
        return path.parent
    raise ModelFileError(
        f"{path.name} is a GGUF file, and training needs the model's folder (safetensors).",
        "Get the original model: playground models get OWNER/NAME. The adapter will work with the GGUF file as well.",
    )


def base_name(folder: Path) -> str:
    """What the adapter calls its model: the repository of one in the Hugging Face cache, else the folder."""
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
    return str(folder)


def shown_name(folder: Path) -> str:
    return base_name(folder).rstrip("/").rpartition("/")[2] or folder.name


def write_run(
    folder: Path, run: RunRow, plan: TrainPlan, prepared: RunPrepared, now: Callable[[], float] = time.time
) -> dict[str, Any]:
    """settings.json and train.py beside the data that was prepared: from here on it is a run. Returns the record."""
    model = Path(plan.model_path)
    record = {
        "format": FORMAT,
        "id": run.id,
        "title": run.title,
        "created": now(),
        "program": f"playground {playground.__version__}",
        "model": {"path": str(model), "name": plan.model_name, "base": base_name(model)},
        "data": {
            "name": plan.data.name,
            "source": plan.data.source,
            "sha256": plan.data.sha256,
            "rows": prepared.rows,
            "validation_rows": prepared.validation_rows,
            "tokens": prepared.tokens,
            "learned": prepared.learned,
            "cut": prepared.cut,
            "skipped": [list(each) for each in prepared.skipped],
            "encode": dict(plan.encode),
        },
        "settings": to_dict(plan.settings),
        "reasons": dict(plan.reasons),
        "fit": plan.fit.to_dict() | {"activation_factor": plan.fit.plan.activation_factor},
        "tokens": {"stop": list(prepared.stop)},
        "card": card(plan, prepared),
    }
    if SCRIPT.exists():
        shutil.copyfile(SCRIPT, folder / "train.py")
        shutil.copyfile(TRACKING, folder / TRACKING.name)
    write_record(folder, record)
    return record


def card(plan: TrainPlan, prepared: RunPrepared) -> str:
    """The model card of the result; the run puts what came of it in place of {{results}}."""
    settings, full = plan.settings, plan.settings.method == "full"
    base = base_name(Path(plan.model_path))
    repo = base if re.fullmatch(r"[\w.-]+/[\w.-]+", base) else ""
    head = ["---", *([f"base_model: {repo}"] if repo else []), f"library_name: {'transformers' if full else 'peft'}"]
    head += ["pipeline_tag: text-generation", "tags:", *([] if full else ["- lora"]), "- playground", "---"]
    shown = {name: value for name, value in to_dict(settings).items() if name not in UNTOLD}
    table = "\n".join(f"| {name} | {', '.join(value) if isinstance(value, list) else value} |" for name, value in shown.items())
    what = "A model" if full else "A LoRA adapter"
    return "\n".join(
        [
            *head,
            "",
            f"# {plan.model_name}, tuned on {plan.data.name}",
            "",
            f"{what} trained with Playground {playground.__version__} on {time.strftime('%Y-%m-%d')}, from `{repo or plan.model_name}`.",
            "",
            "## Data",
            "",
            f"{plan.data.name}: {prepared.rows:,} sequences to learn from, {prepared.validation_rows:,} held out, "
            f"{prepared.learned:,} of {prepared.tokens:,} tokens carrying loss. SHA-256 `{plan.data.sha256 or 'unknown'}`.",
            "",
            "## Results",
            "",
            "{{results}}",
            "",
            "## Settings",
            "",
            "| setting | value |",
            "| --- | --- |",
            table,
            "",
        ]
    )


def land(home: Home, run: RunRow, record: Mapping[str, Any], out: str = "") -> Path | None:
    """Puts a run's result where models and adapters are looked for, whole or not at all; its place. None where the run has none."""
    folder = Path(run.folder)
    full = record["settings"]["method"] == "full"
    source = folder / ("model" if full else "adapter")
    if not source.is_dir():
        return None
    where = home.models if full else home.adapters
    target = Path(run.adapter) if run.adapter else _target(where, out, f"{record['model']['name']}-{record['data']['name']}")
    part = beside.part_of(target)
    shutil.copytree(source, part)
    for file in part.rglob("*"):
        if file.is_file():
            with file.open("rb+") as opened:
                os.fsync(opened.fileno())
    old = target.with_name(f".{target.name}.old")
    beside.remove(old)
    if target.exists():
        os.replace(target, old)
    os.replace(part, target)
    beside.remove(old)
    beside.sync_folder(target.parent)
    return target


def check_target(home: Home, out: str, full: bool) -> None:
    """NotFoundError for a result's name that is taken by something else."""
    if out and (target := _target(home.models if full else home.adapters, out, "")).exists():
        raise NotFoundError(f"There is already something at {target}.", "Choose another name, or remove it first.")


def _target(where: Path, out: str, name: str) -> Path:
    if out:
        return Path(out).expanduser().absolute() if os.sep in out or out.startswith(("~", ".")) else where / out
    clean = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "adapter"
    path, number = where / clean, 1
    while path.exists():
        number += 1
        path = where / f"{clean}-{number}"
    return path
