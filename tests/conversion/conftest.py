"""Models and tokenizers made once for all tests, and one process in which llama.cpp answers for all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def ask_llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`ask(jobs)`: runs `tests.conversion.asked` on them."""

    def ask(jobs: list[dict[str, Any]]) -> None:
        file = tmp_path_factory.mktemp("jobs") / "jobs.json"
        file.write_text(json.dumps(jobs))
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive", "GGML_NO_BACKTRACE": "1"}
        subprocess.run(
            [sys.executable, "-m", "tests.conversion.asked", str(file)],
            cwd=ROOT,
            env=environment,
            check=True,
            capture_output=True,
            timeout=250,
        )

    return ask
