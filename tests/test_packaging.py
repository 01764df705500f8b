"""packaging/run and packaging/test as a person meets them, with an interpreter that only pretends to install (the real one is CI's)."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ["packaging/run", "packaging/test", "packaging/start.sh", "packaging/install.sh", ".ci/run"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")

# Answers what `run` asks of a Python. `pip install` takes as long as $SLOW says and counts itself in installs.txt.
PRETENDER = """#!/bin/bash
here=$(dirname "$0")
case "$*" in
    *_base_executable*) printf '3.11\\t%s\\t%s\\n' "$0" "$0" ;;
    *"-m venv "*) mkdir -p "${@: -1}/bin" && cp "$0" "${@: -1}/bin/python" ;;
    *"import pip, sys"*) exit 0 ;;
    *"-m pip install"*)
        [ -z "${SAYS:-}" ] || { echo "$SAYS"; exit 1; }
        echo "$*" >>"$here/../../installs.txt"
        sleep "${SLOW:-0}"
        printf '#!/bin/bash\\necho "started $*"\\n' >"$here/playground" && chmod +x "$here/playground" ;;
esac
"""


class Checkout:
    """A copy of the scripts in a folder with a space, beside a pretended Python."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "play ground"
        self.bin = folder / "bin"
        (self.root / "packaging").mkdir(parents=True)
        self.bin.mkdir()
        for name in (
            "packaging/run",
            "packaging/start.sh",
            "packaging/install.sh",
            "packaging/constraints.txt",
            "pyproject.toml",
        ):
            shutil.copy(ROOT / name, self.root / name)
        self.python = self.bin / "python3"
        self.python.write_text(PRETENDER)
        self.python.chmod(0o755)
        wheel = folder / "llama_cpp_python-0-py3-none-any.whl"
        wheel.touch()
        self.env = {
            "PATH": f"{self.bin}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "PLAYGROUND_LLAMA_WHEEL": str(wheel),
        }

    def popen(self, *arguments: str, command: str | Path = "", **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [command or self.root / "packaging" / "run", *arguments],
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            start_new_session=True,
        )

    def run(self, *arguments: str, command: str | Path = "", **env: str) -> tuple[int, str, str]:
        process = self.popen(*arguments, command=command, **env)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def installs(self) -> int:
        file = self.root / "installs.txt"
        return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def shell(script: str, **env: str) -> str:
    """Runs a few lines with all functions of the scripts at hand."""
    lines = f'root="{ROOT}"; . "$root/packaging/start.sh"; . "$root/packaging/install.sh"; {script}'
    done = subprocess.run(
        ["bash", "-c", lines],
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_parse(script: str) -> None:
    assert subprocess.run(["bash", "-n", ROOT / script], capture_output=True, text=True).stderr == ""
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", "-x", ROOT / script], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stdout


def test_the_first_start_installs_and_the_second_only_starts(checkout: Checkout) -> None:
    assert checkout.run("chat", "starter")[:2] == (0, "started chat starter\n")
    assert checkout.installs() == 1
    code, out, err = checkout.run("--version")
    assert (code, out, err) == (0, "started --version\n", "")
    assert checkout.installs() == 1


def test_the_second_start_runs_no_other_program(checkout: Checkout) -> None:
    checkout.run("--version")
    assert checkout.run("a b", "", PATH="/nowhere")[:2] == (0, "started a b \n")


def test_it_starts_through_a_link_from_anywhere(checkout: Checkout, tmp_path: Path) -> None:
    link = tmp_path / "playground here"
    link.symlink_to(checkout.root / "packaging" / "run")
    assert checkout.run("one", command=link)[:2] == (0, "started one\n")
    assert checkout.run("two", command=link)[:2] == (0, "started two\n")
    assert checkout.installs() == 1


@pytest.mark.parametrize("file", ["pyproject.toml", "packaging/constraints.txt"])
def test_another_set_of_dependencies_is_installed_at_the_next_start(checkout: Checkout, file: str) -> None:
    checkout.run("--version")
    with (checkout.root / file).open("a") as text:
        text.write("# another\n")
    assert checkout.run("--version")[0] == 0
    assert checkout.installs() == 2
    assert checkout.run("--version") == (0, "started --version\n", "")


def test_a_checkout_that_was_moved_is_installed_again(checkout: Checkout) -> None:
    checkout.run("--version")
    moved = checkout.root.with_name("elsewhere")
    checkout.root.rename(moved)
    checkout.root = moved
    assert checkout.run("--version")[:2] == (0, "started --version\n")
    assert checkout.installs() == 2


def test_two_first_starts_at_once_install_once(checkout: Checkout) -> None:
    first = checkout.popen("one", SLOW="1")
    second = checkout.popen("two", SLOW="1")
    assert first.communicate(timeout=60)[0] == "started one\n"
    assert second.communicate(timeout=60)[0] == "started two\n"
    assert checkout.installs() == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_install_that_was_stopped_is_made_anew(checkout: Checkout, how: signal.Signals) -> None:
    process = checkout.popen("--version", SLOW="5")
    deadline = time.monotonic() + 60
    while not checkout.installs() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode in ((-9,) if how == signal.SIGKILL else (130,))
    assert not (checkout.root / ".venv" / "playground.stamp").exists()
    assert checkout.run("--version")[:2] == (0, "started --version\n")
    assert checkout.installs() == 2


def test_offline_and_out_of_date_it_starts_with_what_is_there(checkout: Checkout) -> None:
    checkout.run("--version")
    (checkout.root / "pyproject.toml").write_text("# other\n")
    code, out, err = checkout.run("--version", SAYS="Failed to establish a new connection: [Errno 101] Network is unreachable")
    assert (code, out) == (0, "started --version\n")
    assert "registry could not be reached; starting with what is there" in err


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "NameResolutionError: Failed to resolve 'pypi.org'",
            "The installation failed: the package registry could not be reached.",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "The installation failed: the disk is full.",
        ),
        ("[Errno 13] Permission denied: '/x'", "The installation failed: no permission to write."),
        ("gcc: internal error", "The installation failed; the last lines are above."),
    ],
)
def test_a_failed_install_says_why_in_a_sentence(checkout: Checkout, said: str, sentence: str) -> None:
    code, out, err = checkout.run("--version", SAYS=said)
    assert (code, out) == (1, "")
    assert f"playground: {sentence}\n  " in err
    assert checkout.run("--version")[0] == 0


def test_a_python_that_does_not_run_is_passed_over(checkout: Checkout) -> None:
    checkout.python.rename(checkout.bin / "python3.12")
    checkout.python.write_text("#!/bin/sh\necho 'pyenv: python3: command not found' >&2\nexit 127\n")
    checkout.python.chmod(0o755)
    assert checkout.run("--version")[0] == 0
    assert (checkout.root / ".venv/playground.stamp").read_text().splitlines()[1] == str(checkout.bin / "python3.12")


def test_a_folder_that_cannot_be_written_is_told(checkout: Checkout) -> None:
    (checkout.root / ".venv").write_text("a file where the environment should be")
    code, _, err = checkout.run("--version")
    assert code == 1
    assert "cannot be written" in err


AVX2 = "sse4_2 avx avx2 fma f16c bmi2"
AVX512 = f"{AVX2} avx512f avx512cd avx512bw avx512dq avx512vl"


def flags(tmp_path: Path, features: str, after: str = "") -> str:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: fpu {features} lm\nbogomips\t: 1\n")
    pretend = "gpu_works() { false; }; find_nvcc() { nvcc=/x/nvcc; }; HOSTTYPE=x86_64; unset CMAKE_ARGS;"
    return shell(f'{pretend} {after} read_cpu; choose_flags; echo "$llama: $flags"', PLAYGROUND_CPUINFO=str(cpuinfo))


def test_llama_cpp_is_built_for_this_processor(tmp_path: Path) -> None:
    plain = "-DLLAVA_BUILD=OFF -DLLAMA_BUILD_TOOLS=OFF -DGGML_NATIVE=OFF"
    assert flags(tmp_path, AVX2) == f"cpu: {plain}\n"
    assert flags(tmp_path, "sse4_2 avx") == f"cpu: {plain} -DGGML_AVX2=OFF -DGGML_FMA=OFF -DGGML_F16C=OFF -DGGML_BMI2=OFF\n"
    assert flags(tmp_path, f"{AVX2} avx_vnni") == f"cpu: {plain} -DGGML_AVX_VNNI=ON\n"
    assert flags(tmp_path, f"{AVX512} avx512_vnni") == f"cpu: {plain} -DGGML_AVX512=ON -DGGML_AVX512_VNNI=ON\n"
    assert flags(tmp_path, f"{AVX2} avx512f avx512_vnni") == f"cpu: {plain}\n"


def test_llama_cpp_is_never_built_with_amx(tmp_path: Path) -> None:
    """gcc 12's AMX code crashes on every quantized model."""
    told = flags(tmp_path, f"{AVX512} avx512vbmi avx512_bf16 amx_bf16 amx_tile amx_int8")
    assert "AMX" not in told
    assert "-DGGML_NATIVE=OFF" in told
    assert told.endswith("-DGGML_AVX512=ON -DGGML_AVX512_VBMI=ON -DGGML_AVX512_BF16=ON\n")


def test_a_toolkit_without_a_gpu_changes_nothing(tmp_path: Path) -> None:
    assert "CUDA" not in flags(tmp_path, AVX2)


def test_a_gpu_and_its_toolkit_are_built_for(tmp_path: Path) -> None:
    told = flags(tmp_path, AVX2, "gpu_works() { true; }; nvidia-smi() { printf '9.0\\n9.0\\n8.6\\n'; };")
    assert told.startswith("cuda: ")
    assert told.endswith("-DGGML_CUDA=ON -DCMAKE_CUDA_COMPILER=/x/nvcc -DCMAKE_CUDA_ARCHITECTURES=86;90\n")


def test_a_gpu_without_a_toolkit_is_told_in_one_sentence(tmp_path: Path) -> None:
    told = flags(tmp_path, AVX2, "gpu_works() { true; }; find_nvcc() { false; };").splitlines()
    assert sorted(line.split(":")[0].split(" but ")[0] for line in told) == ["This machine has an NVIDIA GPU", "cpu"]


def test_a_cuda_build_that_fails_is_followed_by_a_cpu_build(tmp_path: Path) -> None:
    pretend = """
        gpu_works() { true; }; nvidia-smi() { echo 9.0; }; need_compiler() { :; }; find_nvcc() { nvcc=/x/nvcc; }; unset CMAKE_ARGS
        attend() {
            case $CMAKE_ARGS in *CUDA*) return 1 ;; esac
            echo "$CMAKE_ARGS" >"$venv/flags"; mkdir "$venv/wheel"; : >"$venv/wheel/llama_cpp_python-1.whl"
        }
        log=/dev/null; llama_version=1; read_cpu; choose_flags; get_llama_wheel; echo "$llama"; ls "$wheel"
    """
    told = shell(f"venv={tmp_path}; {pretend}", XDG_CACHE_HOME=str(tmp_path / "cache"), PLAYGROUND_LLAMA_WHEEL="")
    assert "The build with CUDA failed" in told
    assert told.splitlines()[-2] == "cuda-failed"
    assert told.splitlines()[-1].startswith(str(tmp_path / "cache/playground/wheels/1-"))
    assert "CUDA" not in (tmp_path / "flags").read_text()


def test_missing_libraries_are_named_with_the_command_that_installs_them() -> None:
    pretend = (
        "may_install() { false; }; as_root() { false; }; ldd() { printf '\\tlibEGL.so.1 => not found\\n\\tlibxcb-cursor.so.0 => not found\\n'; };"
        'type() { [ "$2" = ldd ] || [ "$2" = apt-get ]; }; uname() { echo Linux; }; venv=/; missing_libraries() { ldd | awk \'{ print $1 }\'; };'
    )
    told = shell(f"{pretend} check_libraries screen; echo $?")
    assert "sudo apt-get install libegl1 libxcb-cursor0\n" in told
    assert told.endswith("1\n")


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(text) for group in groups for text in group]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_dependency_is_pinned_within_its_range(requirement: Requirement) -> None:
    lines = (ROOT / "packaging" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    same = {re.sub("[-_.]+", "-", requirement.name).lower()}
    for python in ("3.11", "3.12", "3.13"):
        where = {"python_version": python, "python_full_version": f"{python}.1", "platform_system": "Linux"}
        if requirement.marker and not requirement.marker.evaluate(where):
            continue
        of_it = [pin for pin in pins if pin.name.lower() in same and (not pin.marker or pin.marker.evaluate(where))]
        assert len(of_it) == 1, f"{requirement.name} on Python {python} wants one pin"
        (version,) = [part.version for part in of_it[0].specifier]
        assert requirement.specifier.contains(version)
