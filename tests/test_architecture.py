"""What the houses rules say and no import contract can: the map in README, the start that stays light, the wheel that is whole."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import playground

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {
    "accelerate",
    "bitsandbytes",
    "huggingface_hub",
    "llama_cpp",
    "peft",
    "pyqtgraph",
    "sqlite_utils",
    "torch",
    "transformers",
    "trl",
}


def modules_after(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has imported once it ran this."""
    script = f"{statement}\nimport json, sys\nprint(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def folders() -> list[str]:
    """Every top-level folder, and every folder with modules inside the package, as paths from the root."""
    hidden = {"build", "dist", "shared", "__pycache__"}
    top = [path for path in ROOT.iterdir() if path.is_dir() and path.name not in hidden and not path.name.startswith(".")]
    inside = [path for path in (ROOT / "playground").rglob("*") if path.is_dir() and any(path.glob("*.py"))]
    return sorted(str(path.relative_to(ROOT)) for path in top + inside if not path.name.endswith(".egg-info"))


@pytest.mark.parametrize("folder", folders())
def test_the_map_in_readme_gives_every_folder_a_line(folder: str) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    name = folder.rpartition("/")[2]
    line = re.compile(rf"^[\s|`*+├└│─-]*(?:\S+/)?{re.escape(name)}/`?[\s|:,–—-]+\S+\s+\S+", re.MULTILINE)
    assert line.search(text), f"README.md has no line that says what {folder}/ is"


def test_nothing_heavy_is_imported_to_show_a_window() -> None:
    assert not modules_after("import playground.gui.app") & HEAVY


def test_nothing_heavy_is_imported_for_the_command_line_to_parse_its_arguments() -> None:
    assert not modules_after("import playground.cli") & (HEAVY | {"PySide6", "numpy"})


def test_a_listing_needs_neither_sessions_nor_the_other_verbs() -> None:
    asked = "from playground import cli; cli.parser('models').parse_args(['models', 'list']); import playground.models.commands"
    script = f"{asked}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=ROOT)
    imported = set(done.stdout.split())
    assert "playground.cli.models" in imported, done.stderr
    assert not imported & {"playground.cli.chat", "playground.session", "playground.protocol", "sqlite_utils"}


def test_the_version_is_told_without_importing_anything_of_size() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "playground", "--version"], capture_output=True, text=True, cwd=ROOT
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.stdout == f"playground {playground.__version__}\n"
    assert not imported & (HEAVY | {"PySide6", "numpy", "argparse", "multiprocessing", "logging"})


def test_the_folder_packaging_is_no_package() -> None:
    """An __init__.py in it would take the place of the library `packaging`, which half of our dependencies import."""
    assert not list((ROOT / "packaging").glob("__init__.py"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def test_the_wheel_carries_every_module_and_every_resource(wheel: zipfile.ZipFile) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "playground", "resources"], capture_output=True, text=True, cwd=ROOT
    ).stdout
    names = [name for name in tracked.split("\0") if name and (ROOT / name).exists()]
    if not names:
        pytest.skip("not a git checkout")
    wanted = {name if name.startswith("playground/") else f"playground/{name}" for name in names}
    assert not wanted - set(wheel.namelist())


def test_the_wheel_carries_nothing_that_is_not_ours(wheel: zipfile.ZipFile) -> None:
    strangers = [
        name
        for name in wheel.namelist()
        if not name.startswith(("playground/", f"playground-{playground.__version__}.dist-info/"))
    ]
    assert not strangers
    assert not [name for name in wheel.namelist() if "__pycache__" in name or "/tests/" in name]


def test_a_program_started_from_the_wheel_finds_its_resources(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    script = "import sys; sys.path.insert(0, sys.argv[1]); from playground import paths; print(paths.resources()); print(paths.starter().is_file())"
    done = subprocess.run([sys.executable, "-I", "-c", script, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines() == [str(tmp_path / "playground" / "resources"), "True"], done.stderr


def test_the_wheel_says_its_version_its_licences_and_its_command(wheel: zipfile.ZipFile) -> None:
    info = f"playground-{playground.__version__}.dist-info"
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert f"\nVersion: {playground.__version__}\n" in metadata
    assert {f"{info}/licenses/LICENSE", f"{info}/licenses/NOTICE"} <= set(wheel.namelist())
    assert "playground = playground.__main__:main" in wheel.read(f"{info}/entry_points.txt").decode()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"Requires-Python: {project['requires-python']}" in metadata
