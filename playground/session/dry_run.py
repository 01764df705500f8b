"""The engine's own figure for what a model would take, beside our estimate: llama.cpp counts its buffers and allocates none.

For GGUF files on this disk only. Blocks the thread that calls it for a second or two, while a worker counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.errors import ModelFileError, NotFoundError, WorkerError
from playground.memory.devices import HOST
from playground.models import library
from playground.params import ContextSettings
from playground.paths import Home
from playground.protocol import DryRun, DryRunDone
from playground.session.workshop_steps import REQUEST, Step, Stop, run_step

DRY_RUN = "playground.workers.dry_run"
TERMS = ("weights", "kv_cache", "compute", "output")
"""what the engine counts; what its process takes beside is not its to say"""


@dataclass(frozen=True)
class Counted:
    """Bytes by device and term, and the settings that the engine took."""

    devices: dict[str, dict[str, int]]
    context: int
    gpu_layers: int

    @property
    def terms(self) -> dict[str, int]:
        """Over all devices."""
        return {term: sum(device.get(term, 0) for device in self.devices.values()) for term in TERMS}

    def to_dict(self) -> dict[str, Any]:
        return {
            "terms": self.terms,
            "total": sum(self.terms.values()),
            "devices": [
                {"name": name, "terms": {term: terms.get(term, 0) for term in TERMS}, "total": sum(terms.values())}
                for name, terms in self.devices.items()
            ],
            "context": self.context,
            "gpu_layers": self.gpu_layers,
        }


def local_file(home: Home, name: str) -> Path:
    """The GGUF file on this disk that a name stands for. NotFoundError, ModelFileError with a way out."""
    try:
        path = library.resolve(home, name)
    except NotFoundError as error:
        raise NotFoundError(
            f"A dry run needs the model's file on this computer, and '{name}' is not here.", error.hint
        ) from None
    if path.is_dir():
        raise ModelFileError(f"{path.name} is a model folder; the engine's dry run is for GGUF files.", "Leave --dry-run out.")
    return path


def dry_run(path: Path, settings: ContextSettings, stop: Stop | None = None) -> Counted:
    """Asks the engine. ModelFileError, MemoryShortError, SettingError, WorkerError in a sentence; Cancelled by `stop`."""
    step = Step("Asking the engine", DRY_RUN, DryRun(REQUEST, str(path), settings), word="engine's dry run")
    answers = run_step(step, stop or Stop(), lambda fraction, what: None).other
    found = next((each for each in answers if isinstance(each, DryRunDone)), None)
    if found is None:
        raise WorkerError("The engine gave no figures.", "Try again.")
    devices: dict[str, dict[str, int]] = {}
    for term in found.memory:
        device = devices.setdefault(HOST if term.device == "CPU" else term.device, {})
        device[term.kind] = device.get(term.kind, 0) + term.bytes
    return Counted(devices, found.context, found.gpu_layers)
