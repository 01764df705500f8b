"""The decoding lab: from a slider's tick to the end of the painting that it causes, at a vocabulary of 152k.

    packaging/bench lab                     offscreen, and on X if Xvfb is there
    .venv/bin/python packaging/benchmarks/lab.py [--ticks 1000] [--vocabulary 151936] [--logits real|flat|both]

The sampling panel and the lab as the Chat page has them, joined as there; every slider of the sampler chain is moved through its range in
turn. At each tick what the lab shows is held against the numpy chain, outside the timed part, for every tenth tick.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FIELDS = (
    "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "repeat_last_n", "frequency_penalty", "presence_penalty",
)  # fmt: skip


def logits(kind: str, size: int) -> np.ndarray:
    """Like a language model's (a few likely ones over a broad tail), or as flat as they come."""
    chance = np.random.default_rng(20)
    if kind == "flat":
        return chance.normal(0, 0.3, size).astype(np.float32)
    found = chance.normal(-4, 2.4, size).astype(np.float32)
    found[chance.integers(0, size, 60)] += np.linspace(14, 4, 60).astype(np.float32)
    return found


def run(ticks: int, size: int, kind: str) -> dict[str, object]:
    """Milliseconds by field and of all, and how many ticks were held against the chain."""
    from PySide6.QtWidgets import QApplication, QHBoxLayout, QWidget

    from playground.decoding.chain import stages
    from playground.decoding.live_chain import LiveChain
    from playground.gui import theme
    from playground.gui.preferences import Preferences
    from playground.gui.widgets.lab_panel import LabPanel
    from playground.gui.widgets.sampling_panel import SamplingPanel
    from playground.params import SamplingSettings, changed, setting_of
    from playground.protocol import PromptToken
    from playground.session.lab import NextLogits

    app = QApplication.instance() or QApplication([])
    theme.apply(app, "light")
    row = logits(kind, size)
    tokens = np.random.default_rng(3).integers(0, size, 600).tolist()
    tokens[-40:] = np.argsort(-row)[:40].tolist()  # the penalties hit what matters
    prompt = tuple(PromptToken(each, f" t{each}") for each in tokens)
    with tempfile.TemporaryDirectory() as folder:
        window = QWidget()
        across = QHBoxLayout(window)
        panel, lab = SamplingPanel(Preferences(Path(folder) / "settings.json")), LabPanel()
        across.addWidget(lab)
        across.addWidget(panel)
        panel.changed.connect(lab.set_settings)
        window.resize(720, 780)
        window.show()
        panel.show_more(True)
        started = time.perf_counter()
        found = NextLogits(row, prompt, LiveChain(row, tokens))
        sort_ms = (time.perf_counter() - started) * 1000
        lab.set_settings(SamplingSettings(top_k=0) if kind == "flat" else SamplingSettings())
        panel.set_settings(lab._settings)
        lab.show_logits(found, "Bench")
        for _ in range(20):
            app.processEvents()
        times: dict[str, list[float]] = {}
        checked = 0
        for number in range(ticks):
            name = FIELDS[number * len(FIELDS) // ticks]
            known = setting_of(SamplingSettings, name)
            low, high = float(known.minimum or 0), float(known.maximum or 1)
            part = (number * 37 % 101) / 100
            value = low + (high - low) * (part**3 if known.scale == "log" else part)
            settings = changed(panel.settings(), **{name: round(value) if known.kind is int else round(value, 3)})
            before = lab.chart.paints
            if settings == panel.settings():
                continue
            at = time.perf_counter()
            panel._take_all(settings)  # what a slider's tick calls
            while lab.chart.paints == before:
                app.processEvents()
            times.setdefault(name, []).append((time.perf_counter() - at) * 1000)
            if number % 10 == 0:
                checked += 1
                for step, true in zip(found.chain.steps(settings), stages(row, settings, tokens), strict=True):
                    assert np.array_equal(step.survivors(), np.sort(true.ids)), (name, settings, step.name)
                    for token, chance in true.likeliest(20):
                        assert abs(step.probabilities([token])[0] - chance) <= 1e-6, (name, settings, step.name)
            if number % (ticks // len(FIELDS)) == ticks // len(FIELDS) - 1 and name != "top_k":
                panel._take_all(
                    changed(panel.settings(), **{name: known.default})
                )  # one slider away from the defaults at a time
                app.processEvents()
        window.close()
    every = [each for values in times.values() for each in values]
    return {
        "platform": app.platformName(),
        "vocabulary": size,
        "logits": kind,
        "ticks": len(every),
        "checked": checked,
        "prepared_ms": round(sort_ms, 1),
        **_figures(every),
        "fields": {name: _figures(values) for name, values in times.items()},
    }


def _figures(values: list[float]) -> dict[str, float]:
    return {
        "p50_ms": round(float(np.percentile(values, 50)), 2),
        "p95_ms": round(float(np.percentile(values, 95)), 2),
        "max_ms": round(max(values), 2),
    }


def measure(rounds: int) -> dict[str, object]:
    """1,000 ticks in a process of its own on each platform there is; `rounds` means nothing here."""
    del rounds
    found: dict[str, object] = {}
    x_server = ["xvfb-run", "-a", "-s", "-screen 0 1280x900x24"] if shutil.which("xvfb-run") else None
    for platform, before in (("offscreen", []), ("xcb", x_server)):
        if before is None:
            continue
        done = subprocess.run(
            [*before, sys.executable, __file__, "--json"],
            env={**os.environ, "QT_QPA_PLATFORM": platform, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            check=True,
        )
        for line in done.stdout.decode().splitlines():
            if line.startswith("{"):
                each = json.loads(line)
                for name in ("ticks", "checked", "p50_ms", "p95_ms", "max_ms"):
                    found[f"{platform}, {each['logits']} logits: {name}"] = each[name]
                worst = max(each["fields"], key=lambda field: each["fields"][field]["p95_ms"])
                found[f"{platform}, {each['logits']} logits: slowest slider"] = (
                    f"{worst}, p95 {each['fields'][worst]['p95_ms']} ms"
                )
    return found


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticks", type=int, default=1000)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--logits", choices=("real", "flat", "both"), default="both")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    for kind in ("real", "flat") if args.logits == "both" else (args.logits,):
        found = run(args.ticks, args.vocabulary, kind)
        if args.json:
            print(json.dumps(found))
            continue
        print(
            f"{found['platform']}, {found['logits']} logits of {found['vocabulary']:,}: {found['ticks']} ticks, slider to paint "
            f"p50 {found['p50_ms']} p95 {found['p95_ms']} max {found['max_ms']} ms; {found['checked']} held against the chain; "
            f"prepared once in {found['prepared_ms']} ms"
        )
        for name, each in found["fields"].items():  # type: ignore[attr-defined]
            print(f"    {name:20} p50 {each['p50_ms']:7.2f}  p95 {each['p95_ms']:7.2f}  max {each['max_ms']:7.2f}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
