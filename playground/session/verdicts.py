"""A verdict for each choice of a repository's page, before a byte of weights is here: from one header for each format, or from size alone.

Asked by the window's pages and by `playground models show`, so that both say the same. Reads nothing itself: headers come through a function.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from playground.errors import GatedError, HubError, ModelFileError, NotFoundError, PlaygroundError
from playground.memory.devices import Device, find_devices, repacked_formats
from playground.memory.fit import Fit
from playground.memory.shape import ModelShape
from playground.memory.words import amount
from playground.models.files import Choice, ChoiceVerdicts, Recommendation, Verdict, recommend
from playground.models.hub import ModelPage
from playground.params import ContextSettings
from playground.session import fitting
from playground.session.fitting import Subject

log = logging.getLogger(__name__)

USUAL_CONTEXT = 4096
"""tokens of context that a verdict is given for, where nobody says how many"""
HEADERS_TRIED = 3
"""damaged files of one format after which the others are not asked for a header any more"""


def usual(shape: ModelShape) -> ContextSettings:
    """The settings that a verdict is given for: those a model is loaded with, at a context of everyday size."""
    return replace(ContextSettings(), context=min(USUAL_CONTEXT, shape.context_train or USUAL_CONTEXT))


def verdict_of(found: Fit) -> Verdict:
    """What a chip says of an estimate."""
    return Verdict(found.verdict, found.why, found.total, found.context)


def by_size(size: int, devices: Sequence[Device], bits: float = 0.0) -> Verdict:
    """What a file's size alone allows to say: that its weights are too many, or that there is room for any context of everyday size.

    Beside the weights, cache and buffers of known models take less than half as much again and 1 GiB at `USUAL_CONTEXT` tokens; of about four
    `bits` a weight, some processors get a copy of nearly all of them. What the hub says of a GGUF file beside its size (parameters,
    architecture, trained context) narrows that no further: cache widths of one architecture and size differ eightfold.
    """
    room, whole = max((device.free for device in devices), default=0), sum(device.free for device in devices)
    if size > whole:
        return Verdict("does not fit", f"Its weights alone take {amount(size)}; {amount(whole)} are free.", size)
    copied = 4.2 < bits < 5.2 and bool(repacked_formats()) and not any(device.is_gpu for device in devices)
    if size * (2.4 if copied else 1.5) + (1 << 30) <= room:
        why = f"Its weights take {amount(size)} of the {amount(room)} free, which leaves room for any usual context."
        return Verdict("fits", why, size)
    why = f"Its weights take {amount(size)} of the {amount(room)} free; what the context takes beside, the header says."
    return Verdict("", why, size)


def judge_page(page: ModelPage, runtime: Mapping[str, int] | None = None) -> ChoiceVerdicts:
    """Verdicts for a page on this machine as it is now. `runtime` as measured here, bytes by device."""
    devices = find_devices()

    def judge(subject: Subject) -> Verdict:
        return verdict_of(fitting.fit_on(subject, usual(subject.shape), devices, None, runtime))

    return judge_choices(page, devices, lambda choice: fitting.of_repo(page.repo, choice.path, page), judge)


def judge_choices(
    page: ModelPage, devices: Sequence[Device], read: Callable[[Choice], Subject], judge: Callable[[Subject], Verdict]
) -> ChoiceVerdicts:
    """Verdicts for all choices, and the one to take. The shapes of one format are the same, only the weights differ: one header is enough.

    `devices` with what is about to be unloaded counted as free; `read` gives a choice's header (PlaygroundError where there is none to be
    had), `judge` the verdict on it. Never raises for a choice: without any header its size decides, and the note says so.
    """
    models = [choice for choice in page.choices if choice.kind in ("gguf", "safetensors") and choice.complete]
    verdicts: dict[str, Verdict] = {}
    notes: list[str] = []
    broken: set[str] = set()
    for kind in dict.fromkeys(choice.kind for choice in models):
        of_kind = [choice for choice in models if choice.kind == kind]
        subject, damaged, error = _header(page, of_kind, read)
        if subject is None and any(choice.path not in damaged for choice in of_kind):
            notes.append(f"Judged by size alone: {_lack(page, error)}.")
        broken |= damaged.keys()
        for choice in of_kind:
            if choice.path in damaged:
                verdicts[choice.path] = Verdict("", damaged[choice.path])
            elif subject is None:
                verdicts[choice.path] = by_size(choice.size, devices, choice.bits)
            else:
                scaled = replace(subject, shape=fitting.with_weights(subject.shape, choice.size))
                verdicts[choice.path] = judge(scaled)

    def verdict(choice: Choice) -> str:
        found = verdicts.get(choice.path)
        return "" if found is None else found.verdict

    known = any(each.verdict for each in verdicts.values())
    note = " ".join(dict.fromkeys(notes))
    whole = [choice for choice in page.choices if choice.path not in broken]
    best = recommend(whole, verdict if known else None) if whole else Recommendation(None, "Its files are damaged.")
    return ChoiceVerdicts(verdicts, best, note)


def _header(
    page: ModelPage, models: Sequence[Choice], read: Callable[[Choice], Subject]
) -> tuple[Subject | None, dict[str, str], PlaygroundError | None]:
    """The first header that can be read, sentences of the damaged ones by path, and why there is none."""
    damaged: dict[str, str] = {}
    error: PlaygroundError | None = None
    for choice in models[:HEADERS_TRIED]:
        try:
            return read(choice), damaged, None
        except ModelFileError as found:  # this file's own fault: another one may say it
            error = found
            damaged[choice.path] = found.message
        except (HubError, NotFoundError) as found:
            error = found
            break
        log.debug("no header of %s:%s: %s", page.repo, choice.path, error)
    return None, {} if isinstance(error, HubError) else damaged, error


def _lack(page: ModelPage, error: PlaygroundError | None) -> str:
    if isinstance(error, GatedError) or page.access == "gated":
        return "this repository gives the header only after a login and an agreement"
    return error.message.rstrip(".") if error is not None else "no header can be read"
