"""A repository's files as what a person chooses between: quantizations, splits and shards as one, projectors told apart.

Works on names and sizes alone. What fits where is not known here: `recommend` is given a function that knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

Kind = Literal["gguf", "safetensors", "mmproj", "adapter", "pickle"]

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".dill", ".h5", ".npy", ".npz")
"""Endings of formats that can run code when they are opened (or carry a pickle): never downloaded as a model."""

COMPANIONS = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".md")
"""Endings of the small files that belong to a model in Hugging Face layout."""

_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})(?=\.(?:gguf|safetensors)$)", re.IGNORECASE)
_QUANTIZATION = re.compile(
    r"(?<![A-Za-z0-9])((?:UD-)?(?:IQ[1-4]_(?:XXS|XS|S|M|NL|XL)|TQ[12]_0|Q[2-8]_K(?:_(?:XXL|XL|XS|S|M|L))?|Q[2-8]_[01](?:_\d_\d)?"
    r"|MXFP4(?:_MOE)?|NVFP4|BF16|F16|FP16|F32|FP32))(?![A-Za-z0-9])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class RepoFile:
    """One file of a repository. `sha256` of files in large-file storage, `blob_id` (git's SHA-1) of the others."""

    path: str
    size: int
    sha256: str = ""
    blob_id: str = ""


@dataclass(frozen=True)
class Choice:
    """What is downloaded as one thing: a file, all files of a split, or a whole folder of shards."""

    label: str
    kind: Kind
    path: str
    """the file to name: the first of a split, the (first) safetensors file"""
    files: tuple[RepoFile, ...]
    quantization: str = ""
    bits: float = 0.0
    """bits a weight, nominally; 0 where the name does not say"""
    quality: str = ""
    complete: bool = True
    """all parts of a split or set are there"""

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Recommendation:
    """The choice to take, None if none will do, and one sentence why."""

    choice: Choice | None
    why: str


@dataclass(frozen=True)
class Verdict:
    """A verdict in a word (`fits`, `tight`, `partly on CPU`, `does not fit`; empty where it cannot be said), and one sentence."""

    verdict: str
    why: str = ""
    total: int = 0
    context: int = 0


@dataclass(frozen=True)
class ChoiceVerdicts:
    """Verdicts of a page's choices by path, and the one to take."""

    verdicts: dict[str, Verdict]
    recommended: Recommendation
    note: str = ""
    """what the verdicts lack, in a sentence; empty where headers were read"""


_BITS: dict[str, float] = {
    "F32": 32, "F16": 16, "BF16": 16, "Q8_0": 8.5, "Q6_K": 6.6, "Q5_K_M": 5.7, "Q5_K_S": 5.5, "Q5_1": 6.0, "Q5_0": 5.5,
    "Q4_K_M": 4.85, "Q4_K_S": 4.6, "Q4_1": 5.0, "Q4_0": 4.55, "IQ4_NL": 4.5, "IQ4_XS": 4.25, "MXFP4": 4.25, "NVFP4": 4.5,
    "Q3_K_L": 4.3, "Q3_K_M": 3.9, "Q3_K_S": 3.5, "IQ3_M": 3.7, "IQ3_S": 3.4, "IQ3_XS": 3.3, "IQ3_XXS": 3.1, "Q2_K": 3.0,
    "Q2_K_S": 2.8, "IQ2_M": 2.7, "IQ2_S": 2.5, "IQ2_XS": 2.3, "IQ2_XXS": 2.1, "IQ1_M": 1.75, "IQ1_S": 1.6, "TQ2_0": 2.1,
    "TQ1_0": 1.7,
}  # fmt: skip


def quantization_of(name: str) -> str:
    """The quantization that a file name speaks of, as people write it (`Q4_K_M`); empty if it names none."""
    found = _QUANTIZATION.findall(PurePosixPath(name).stem)
    return re.sub(r"^FP(16|32)$", r"F\1", found[-1].upper()) if found else ""


def bits_of(quantization: str) -> float:
    """Nominal bits a weight of a quantization; 0 for an unknown one."""
    name = quantization.upper().removeprefix("UD-").removesuffix("_MOE")
    if name in _BITS:
        return _BITS[name]
    name = re.sub(r"_XX?L$", "_L", name)
    return next((bits for known, bits in _BITS.items() if name.startswith(known) or known.startswith(name)), 0.0)


def quality_of(bits: float) -> str:
    """What a quantization of so many bits does to the answers, in a few words."""
    if bits <= 0:
        return ""
    if bits >= 16:
        return "the weights as published"
    words = (
        (8, "next to no loss"), (6, "very close to the original"), (5, "close to the original"),
        (4.4, "good: the usual balance of size and quality"), (4, "good for its size"), (3.3, "noticeably weaker"),
        (2.5, "much weaker"), (0, "barely usable: a last resort"),
    )  # fmt: skip
    return next(text for least, text in words if bits >= least)


def is_pickle(path: str) -> bool:
    """Whether a file is of a format that can run code when opened."""
    return path.lower().endswith(PICKLES)


def choices(files: Iterable[RepoFile]) -> tuple[Choice, ...]:
    """The choices among a repository's files, best quality first; projectors and adapters after the models, pickles last."""
    files = list(files)
    found = [*_gguf(files), *_safetensors(files), *_pickles(files)]
    order = {"gguf": 0, "safetensors": 0, "adapter": 1, "mmproj": 2, "pickle": 3}
    return tuple(sorted(found, key=lambda each: (order[each.kind], -each.bits, each.path)))


def split_of(path: str) -> tuple[str, int, int]:
    """A file's name without its split number, the number and the count; (path, 1, 1) for a file that is no split."""
    match = _SPLIT.search(path)
    if match is None:
        return path, 1, 1
    return path[: match.start()] + path[match.end() :], int(match[1]), int(match[2])


def recommend(found: Sequence[Choice], fit: Callable[[Choice], str] | None = None) -> Recommendation:
    """The choice for this machine. `fit` gives the verdicts of `memory`: `fits`, `tight`, `partly on CPU`, `does not fit`."""
    models = [each for each in found if each.kind in ("gguf", "safetensors") and each.complete]
    if not models:
        pickled = any(each.kind == "pickle" for each in found)
        return Recommendation(
            None, "Its weights are pickled Python, which is not opened here." if pickled else "It has no model files."
        )
    if fit is None:
        best = min(models, key=lambda each: abs((each.bits or 16) - 4.85))
        return Recommendation(best, f"{best.label}: {best.quality or 'the one model here'}.")
    ranked = sorted(models, key=lambda each: -(each.bits or 16))
    verdicts = {each.path: fit(each) for each in ranked}
    # weights of 16 bits answer no better than 8 and are half as fast: only where there is nothing smaller
    by_use = [each for each in ranked if 0 < each.bits < 16] or ranked
    for wanted, words in (
        ("fits", "the best quality that fits with room to spare"),
        ("tight", "the best quality that just fits"),
    ):
        for each in by_use:
            if verdicts[each.path] == wanted:
                return Recommendation(each, f"{each.label} is {words}.")
    partly = [each for each in by_use if verdicts[each.path] == "partly on CPU"]
    if partly:
        best = min(partly, key=lambda each: abs((each.bits or 16) - 4.85))
        return Recommendation(best, f"None fits whole; {best.label} runs partly on the CPU, slower.")
    if unknown := [each for each in by_use if not verdicts[each.path]]:
        best = min(unknown, key=lambda each: each.size)
        return Recommendation(best, f"{best.label} may fit: what it takes beside its weights is not known.")
    smallest = min(models, key=lambda each: each.size)
    return Recommendation(None, f"Even the smallest, {smallest.label}, does not fit in this machine's memory.")


def companions(files: Iterable[RepoFile], folder: str) -> list[RepoFile]:
    """The small files (configuration, tokenizer, template) beside the weights in a folder of the repository."""
    return [
        file
        for file in files
        if str(PurePosixPath(file.path).parent) == folder
        and file.path.lower().endswith(COMPANIONS)
        and not file.path.lower().endswith(".index.json")
        and file.size < 256 << 20
    ]


def _gguf(files: list[RepoFile]) -> list[Choice]:
    groups: dict[str, list[RepoFile]] = {}
    for file in files:
        if file.path.lower().endswith(".gguf") and "imatrix" not in PurePosixPath(file.path).name.lower():
            groups.setdefault(split_of(file.path)[0], []).append(file)
    found = []
    for whole, parts in groups.items():
        parts.sort(key=lambda file: split_of(file.path)[1])
        numbers, count = [split_of(file.path)[1] for file in parts], split_of(parts[0].path)[2]
        quantization = quantization_of(whole)
        projector = "mmproj" in PurePosixPath(whole).name.lower()
        stem = PurePosixPath(whole).stem
        label = f"mmproj {quantization}".strip() if projector else quantization or stem
        bits = bits_of(quantization)
        found.append(
            Choice(
                label=label,
                kind="mmproj" if projector else "gguf",
                path=parts[0].path,
                files=tuple(parts),
                quantization=quantization,
                bits=bits,
                quality="image projector, loaded beside a model" if projector else quality_of(bits),
                complete=numbers == list(range(1, count + 1)),
            )
        )
    return _told_apart(found)


def _told_apart(found: list[Choice]) -> list[Choice]:
    """Two files of one quantization (two models in a repository) get their names as labels."""
    import dataclasses

    labels = [each.label for each in found]
    return [
        dataclasses.replace(each, label=PurePosixPath(split_of(each.path)[0]).stem) if labels.count(each.label) > 1 else each
        for each in found
    ]


def _safetensors(files: list[RepoFile]) -> list[Choice]:
    folders: dict[str, list[RepoFile]] = {}
    for file in files:
        if file.path.lower().endswith(".safetensors"):
            folders.setdefault(str(PurePosixPath(file.path).parent), []).append(file)
    found = []
    names = {file.path for file in files}
    for folder, parts in folders.items():
        inside = "" if folder == "." else folder + "/"
        adapter = inside + "adapter_config.json" in names
        chosen = [
            file for file in parts if PurePosixPath(file.path).name.startswith("adapter" if adapter else "model")
        ] or parts
        # a repository may hold the same weights twice: consolidated (another program's layout) beside the shards
        shards = [file for file in chosen if split_of(file.path)[2] > 1]
        whole = [file for file in chosen if split_of(file.path)[2] == 1]
        chosen = sorted(whole[:1] if whole and adapter else shards or chosen, key=lambda file: file.path)
        numbers = [split_of(file.path)[1] for file in chosen]
        complete = not shards or chosen != shards or numbers == list(range(1, split_of(chosen[0].path)[2] + 1))
        index = [file for file in files if file.path == inside + "model.safetensors.index.json"] if len(chosen) > 1 else []
        label = "adapter" if adapter else "safetensors"
        found.append(
            Choice(
                label=label if folder == "." else f"{label} {folder}",
                kind="adapter" if adapter else "safetensors",
                path=chosen[0].path,
                files=(*chosen, *index, *companions(files, folder)),
                bits=0.0 if adapter else 16.0,
                quality="an adapter for another model" if adapter else quality_of(16),
                complete=complete,
            )
        )
    return found


def _pickles(files: list[RepoFile]) -> list[Choice]:
    weights = [file for file in files if is_pickle(file.path)]
    if not weights:
        return []
    return [Choice("pickle", "pickle", weights[0].path, tuple(weights), quality="can run code when opened: not downloaded")]
