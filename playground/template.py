"""A model's chat template, rendered without trusting it: sandboxed Jinja, with bounds on time, memory and output.

The environment is the one that templates are written for (transformers' `apply_chat_template`). Knows messages as `ChatMessage` and
no engine. A model without a template gets `PLAIN`: one line a role, and the reply after `Assistant:`.
"""

from __future__ import annotations

import ctypes
import datetime
import json
import secrets
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from playground.errors import TemplateError
from playground.protocol import ChatMessage

PLAIN = (
    "{% for message in messages %}"
    "{% if message.role == 'system' %}{{ message.content }}\n\n"
    "{% else %}{{ message.role | capitalize }}: {{ message.content }}\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)

MAX_CHARACTERS = 16_000_000
MAX_SECONDS = 5.0
_MAX_BYTES = 1 << 30
_NONCE = secrets.token_hex(8)
MARK_BEGIN, MARK_END = f"\ue000{_NONCE}(", f"\ue000{_NONCE})"
"""what stands around the words of a `{% generation %}` block in a marked rendering: nothing that a text could hold"""


class _Refused(Exception):
    """The template itself said no (`raise_exception`)."""


class _OutOfTime(BaseException):
    """Raised into a rendering thread; not an Exception, so that nothing on the way takes it for its own."""


class _GenerationTag(Extension):
    """`{% generation %}` marks the assistant's words for training: its body is rendered, between the marks where they are wanted."""

    tags = {"generation"}

    def parse(self, parser: Any) -> Any:
        next(parser.stream)
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return [_mark("generation_begin"), *body, _mark("generation_end")]


def _mark(name: str) -> nodes.Output:
    return nodes.Output([nodes.Name(name, "load")])


class _Sandbox(ImmutableSandboxedEnvironment):
    """Refuses powers and repetitions whose result would be huge; they cannot be interrupted once they run."""

    intercepted_binops = frozenset(["*", "**", "%"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and not (isinstance(right, (int, float)) and abs(right) <= 64):
            raise OverflowError("a power is too large")
        if operator == "*":
            for text, times in ((left, right), (right, left)):
                if isinstance(text, (str, list, tuple)) and isinstance(times, int) and len(text) * times > MAX_CHARACTERS:
                    raise OverflowError("a repetition is too long")
        if operator == "%" and isinstance(left, str):
            raise OverflowError("formatting by % is not available")
        return super().call_binop(context, operator, left, right)


@dataclass(frozen=True)
class Job:
    """One rendering: the messages, whether the template is asked to open the next reply, whether its generation blocks are marked."""

    messages: tuple[ChatMessage, ...]
    open_reply: bool = True
    marked: bool = False


def render(
    template: str | None, messages: Sequence[ChatMessage], bos: str = "", eos: str = "", max_seconds: float = MAX_SECONDS
) -> str:
    """The prompt that asks for the next reply. TemplateError with one sentence for whatever the template does wrong.

    A system message that the template refuses or leaves out is put in front of the first user message.
    """
    return render_all(template, [Job(tuple(messages))], bos, eos, max_seconds=max_seconds)[0]


def render_all(
    template: str | None,
    jobs: Sequence[Job],
    bos: str = "",
    eos: str = "",
    now: datetime.datetime | None = None,
    max_seconds: float = MAX_SECONDS,
) -> list[str]:
    """Several renderings of one conversation (whole, in part, with words exchanged), all in the same way; TemplateError as `render`.

    A system message that the template refuses, or leaves out of the first, is put in front of the first user message in all of them.
    `now`: what `strftime_now` says, for texts that must be the same tomorrow.
    """
    source = PLAIN if template is None else template
    try:
        texts = _render(source, jobs, bos, eos, now, max_seconds)
    except _Refused as error:
        if not any(fold_system(each.messages) for each in jobs):
            raise TemplateError(f"The model's chat template refuses this conversation: {error}.", _HINT) from None
        try:
            return _render(source, _folded(jobs), bos, eos, now, max_seconds)
        except _Refused as again:
            raise TemplateError(f"The model's chat template refuses this conversation: {again}.", _HINT) from None
    system = next((each.content.strip() for each in jobs[0].messages if each.role == "system"), "")
    if system and system not in texts[0] and fold_system(jobs[0].messages) is not None:
        try:
            return _render(source, _folded(jobs), bos, eos, now, max_seconds)
        except _Refused:
            return texts
    return texts


_HINT = "Change the order of the messages, or remove the system prompt."


def fold_system(messages: Sequence[ChatMessage]) -> list[ChatMessage] | None:
    """The messages with the system message inside the first user message; None if there is none to fold, or nothing to fold it into."""
    system = "\n\n".join(each.content for each in messages if each.role == "system")
    others = [each for each in messages if each.role != "system"]
    place = next((place for place, each in enumerate(others) if each.role == "user"), -1)
    if not system or place < 0:
        return None
    others[place] = ChatMessage("user", f"{system}\n\n{others[place].content}")
    return others


def _folded(jobs: Sequence[Job]) -> list[Job]:
    return [replace(each, messages=tuple(fold_system(each.messages) or each.messages)) for each in jobs]


@lru_cache(maxsize=8)
def _compiled(source: str) -> jinja2.Template:
    environment = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _GenerationTag])
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    return environment.from_string(source)


def _render(
    source: str, jobs: Sequence[Job], bos: str, eos: str, now: datetime.datetime | None, max_seconds: float
) -> list[str]:
    """All jobs on one thread under one guard: a guard for each would take longer than the rendering."""

    def work() -> list[str]:
        template, texts, length = _compiled(source), [], 0
        for job in jobs:
            parts = []
            for part in template.generate(_values(job, bos, eos, now)):
                length += len(part)
                if length > MAX_CHARACTERS:
                    raise OverflowError("its output is too long")
                parts.append(part)
            texts.append("".join(parts))
        return texts

    return _guarded(work, max_seconds)


def _values(job: Job, bos: str, eos: str, now: datetime.datetime | None) -> dict[str, Any]:
    return {
        "messages": [{"role": each.role, "content": each.content} for each in job.messages],
        "add_generation_prompt": job.open_reply,
        "bos_token": bos,
        "eos_token": eos,
        "tools": None,
        "documents": None,
        "generation_begin": MARK_BEGIN if job.marked else "",
        "generation_end": MARK_END if job.marked else "",
        "strftime_now": lambda form: (now or datetime.datetime.now()).strftime(form),
    }


def _guarded(work: Callable[[], list[str]], max_seconds: float) -> list[str]:
    """What `work` gives, within bounds of time and memory. TemplateError, or _Refused."""
    result: list[str] = []
    problem: list[BaseException] = []

    def guarded() -> None:
        try:
            result.extend(work())
        except BaseException as error:
            problem.append(error)

    with _bounded_memory():
        thread = threading.Thread(target=guarded, name="template", daemon=True)
        thread.start()
        thread.join(max_seconds)
        if thread.is_alive():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_OutOfTime))
            thread.join(1.0)
            problem.append(_OutOfTime())
    if problem:
        raise _explained(problem[0])
    return result


def _explained(error: BaseException) -> Exception:
    if isinstance(error, _Refused):
        return error
    if isinstance(error, _OutOfTime):
        return TemplateError("The model's chat template does not come to an end.", "Use another file of this model.")
    if isinstance(error, MemoryError | OverflowError):
        return TemplateError("The model's chat template asks for too much memory or output.", "Use another file of this model.")
    if isinstance(error, jinja2.TemplateSyntaxError):
        return TemplateError(
            f"The model's chat template has an error in line {error.lineno}: {error.message}.", "Use another file of it."
        )
    said = str(error).strip().rstrip(".")[:200] or type(error).__name__
    return TemplateError(f"The model's chat template cannot be rendered: {said}.", "Use another file of this model.")


@contextmanager
def _bounded_memory() -> Any:
    """While it holds, this process may not grow by more than a gibibyte (Linux): a hostile template must not fill the machine."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    limit = size + _MAX_BYTES
    if soft != resource.RLIM_INFINITY:
        limit = min(limit, soft)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _refuse(message: str = "") -> None:
    raise _Refused(str(message).strip().rstrip(".")[:300])


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **more: Any) -> str:
    """As templates expect it: no HTML escapes, unlike Jinja's own."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **more)
