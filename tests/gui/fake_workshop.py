"""A workshop without workers: the same surface as `playground.session.workshop.Workshop`; jobs go on when a test says so.

    number = workshop.quantize(request); workshop.go_on(number, fraction=0.5); workshop.finish(number, "/models/x.gguf", 1000)

What happens is told as `JobChanged` through `tell`, as the real one does it; `requests` keeps what was asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from playground.models.quantization import TYPES
from playground.protocol import QualityRow
from playground.session.reports import Report
from playground.session.workshop_jobs import JobChanged, Making, Plan, QuantizeRequest, TypeRow


def plan_of(source: str, adapter: str = "", weights: int = 5_600_000, **more: Any) -> Plan:
    """A plan with all of llama.cpp's types for a model of so many weights."""
    folder = not source.endswith(".gguf")
    rows = []
    for name, each in TYPES.items():
        bits = (each.layers * 0.8 + each.embedding * 0.2) if each.layers < 16 else each.layers
        size = int(weights * bits / 8)
        verdict = "fits" if bits < 14 else "tight" if bits < 20 else "does not fit"
        rows.append(
            TypeRow(
                name, size, bits, not folder, each.about, each.loss, each.kl, each.name.startswith(("IQ1", "IQ2")), name == "Q8_0",
                verdict, f"It takes {size / 1e6:.1f} MB.", size + (2 * weights if folder else 0),
            )
        )  # fmt: skip
    if folder:
        rows.append(TypeRow("nf4", int(weights * 0.55), 4.4, False, "four bits for transformers, trains and chats"))
    steps = (("Merging the adapter",) if adapter else ()) + (("Converting to GGUF",) if folder else ()) + ("Quantizing",)
    facts = {"disk_free": 350_000_000_000} | more
    return Plan(source, Path(source).stem, "safetensors" if folder else "gguf", 2 * weights, "F16", tuple(rows), steps, **facts)


def quality(name: str, size: int, loss: float, **more: Any) -> QualityRow:
    """A measured row, its other figures in keeping with the loss."""
    facts: dict[str, Any] = {
        "path": f"/models/{name}.gguf",
        "name": name,
        "quantization": name.partition("-")[2] or name,
        "size": size,
        "bits_per_weight": 8 * size / 5_600_000,
        "perplexity": 7.4 * (1 + loss),
        "perplexity_error": 0.06,
        "kl_divergence": loss,
        "kl_error": loss * 0.03,
        "kl_p99": loss * 12,
        "top1_agreement": max(0.2, 1 - loss * 0.6),
        "tokens": 8160,
        "prompt_tokens_per_s": 6100.0,
        "decode_tokens_per_s": 480.0 - size / 1e5,
        "resident": size + 22_000_000,
    }
    return QualityRow(**(facts | more))


class FakeWorkshop:
    """See the module's docstring."""

    def __init__(self, tell: Callable[[Any], None]) -> None:
        self._tell = tell
        self._jobs: dict[str, Making] = {}
        self.requests: list[Any] = []
        """every request, in order: a QuantizeRequest, or (name, arguments ...)"""
        self.plans: list[Future[Plan]] = []
        self.hold_plans = False
        self.kept: list[Report] = []
        self.next_plan: Callable[[str, str], Plan] = plan_of

    # -- intents

    def quantize(self, request: QuantizeRequest) -> str:
        self.requests.append(request)
        return self._add("quantize", f"{Path(request.source).stem} to {request.to}")

    def adapter(self, adapter: str, base: str = "", out: str = "") -> str:
        self.requests.append(("adapter", adapter, base, out))
        return self._add("adapter", f"{Path(adapter).name} to GGUF")

    def report(
        self, original: str, models: Sequence[str], text: str = "", context: int = 512, chunks: int = 0, **more: Any
    ) -> str:
        self.requests.append(("report", original, tuple(models), text, context, chunks, more))
        return self._add("report", f"Quality against {Path(original).stem}")

    def cancel(self, number: str) -> None:
        self.requests.append(("cancel", number))
        self._show(number, state="cancelling" if self._jobs[number].running else "cancelled")

    def list(self) -> tuple[Making, ...]:
        return tuple(reversed(self._jobs.values()))

    def plan(self, source: str | Path, adapter: str = "") -> Future[Plan]:
        answer: Future[Plan] = Future()
        self.plans.append(answer)
        if not self.hold_plans:
            answer.set_result(self.next_plan(str(source), adapter))
        return answer

    def reports(self) -> Future[Sequence[Report]]:
        answer: Future[Sequence[Report]] = Future()
        answer.set_result(tuple(self.kept))
        return answer

    # -- for tests

    def go_on(self, number: str, **changes: Any) -> None:
        """A job is further."""
        self._show(number, **({"state": "running"} | changes))

    def finish(self, number: str, path: str = "", nbytes: int = 0, **changes: Any) -> None:
        self._show(number, state="done", step="", fraction=1.0, path=path, bytes=nbytes, **changes)

    def fail(self, number: str, message: str, hint: str = "") -> None:
        self._show(number, state="failed", step="", fraction=-1.0, message=message, hint=hint)

    def _add(self, kind: Any, title: str) -> str:
        number = f"job{len(self._jobs)}"
        self._jobs[number] = Making(number, kind, title)
        self._tell(JobChanged(self._jobs[number]))
        return number

    def _show(self, number: str, **changes: Any) -> None:
        self._jobs[number] = dataclasses.replace(self._jobs[number], **changes)
        self._tell(JobChanged(self._jobs[number]))
