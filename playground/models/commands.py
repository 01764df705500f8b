"""What `playground models ...` does: a function for each verb that gives plain dictionaries, and the lines to print for them.

    list_models   search   show   get   add   remove

No output and no arguments are handled here: the command line parses, prints and chooses exit codes.
"""

from __future__ import annotations

import dataclasses
import importlib
import queue
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground.errors import Cancelled, HubError, NotFoundError, StorageError, WorkerError, from_kind
from playground.models import download_plan, library, places
from playground.models.files import ChoiceVerdicts, recommend
from playground.models.hub import Hub, ModelPage, Query
from playground.models.library import Row
from playground.paths import Home, existing, expanded

if TYPE_CHECKING:
    from playground.protocol import DownloadProgress

_FIELDS = [each.name for each in dataclasses.fields(Row)]
Judge = Callable[[ModelPage], ChoiceVerdicts]


def list_models(home: Home, on_row: Callable[[Row], None] | None = None) -> dict[str, Any]:
    """`{"models": [...], "notices": [...], "unfinished": [...]}`: what is here, what was in the way, downloads to go on with."""
    found = library.scan(home, on_row=on_row, helped=True)
    return {
        "models": [_flat(row) for row in found.rows],
        "notices": list(found.notices),
        "unfinished": [_job(job) for job in download_plan.unfinished(home)],
    }


def search(query: Query, limit: int = 20) -> dict[str, Any]:
    """`{"query", "models": [...], "more"}` from the hub."""
    results = Hub().search(query)
    rows = results.more(limit)
    return {"query": query.text, "models": [dataclasses.asdict(row) for row in rows], "more": not results.ended}


def show(home: Home, name: str, judge: Judge | None = None, card: bool = False) -> dict[str, Any]:
    """One model: a repository's page (`owner/name`), or a row of the library with everything its headers say."""
    if "/" in name and ":" not in name and existing(name) is None:
        try:
            return _page(Hub().model(name), judge) | ({"card": Hub().card(name)} if card else {})
        except HubError:
            try:  # the hub is away: what is here can be shown all the same
                library.resolve(home, name)
            except NotFoundError:
                pass
            else:
                return dataclasses.asdict(_row(home, name))
            raise
    return dataclasses.asdict(_row(home, name))


def get(
    home: Home,
    repo: str,
    files: tuple[str, ...] = (),
    revision: str = "main",
    job: str = "",
    on_progress: Callable[[DownloadProgress], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Downloads, in a worker, and returns `{"repo", "path", "files", "bytes", "job"}`. Cancelled keeps what has arrived.

    The same call again goes on where it was; `job` goes on with a certain unfinished one.
    """
    from playground.process import Exit, WorkerProcess  # only a download needs a worker
    from playground.protocol import Cancel, Download, DownloadDone, DownloadProgress, Failed, Finished

    repo, _, file = repo.partition(":") if not repo.startswith(("http:", "https:", "hf:")) else (repo, "", "")
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    worker = WorkerProcess("playground.workers.download", events.put, events.put, "download")
    worker.start()
    try:
        worker.send(Download(1, str(home.root), repo, (*files, *((file,) if file else ())), revision, job))
        done, asked = None, False
        while True:
            try:
                event = events.get(timeout=0.2)
            except queue.Empty:
                event = None
            if cancelled() and not asked:
                asked = True
                worker.send(Cancel(1))
            if isinstance(event, DownloadProgress) and on_progress:
                on_progress(event)
            elif isinstance(event, DownloadDone):
                done = event
            elif isinstance(event, Failed):
                raise from_kind(event.kind, event.message, event.hint)
            elif isinstance(event, Finished):
                break
            elif isinstance(event, Exit):
                raise WorkerError(event.sentence, "Run the same command again: it goes on where it was.")
    finally:
        worker.stop(1.0)
    if done is None:
        raise Cancelled("The download was cancelled; what has arrived is kept.", "Run the same command again to go on.")
    return {"repo": done.repo, "path": done.path, "files": list(done.files), "bytes": done.bytes, "job": done.job}


def add(home: Home, path: str) -> dict[str, Any]:
    """Adds a folder or file where it lies. `{"path", "models": [...], "notices": [...]}`."""
    where = expanded(path).absolute()
    places.check_reachable(where)
    if where.is_file():
        library.inspect(where)  # a file that is no model is refused before it is on the list
    place = places.add(home, where)
    found = library.scan(home, [place])
    return {"path": str(place.path), "models": [dataclasses.asdict(row) for row in found.rows], "notices": list(found.notices)}


def remove(home: Home, name: str, trash: Callable[[Path], None] | None = None) -> dict[str, Any]:
    """Moves a model of ours to the trash, or takes an added folder off the list. `{"removed", "path", "trashed"}`."""
    if places.take_out(home, Path(name)):
        return {"removed": name, "path": str(expanded(name).absolute()), "trashed": False}
    row = _row(home, name)
    library.remove(home, row, trash or to_trash)
    return {"removed": row.name, "path": row.path, "trashed": True}


def to_trash(path: Path) -> None:
    """The system's trash, by Send2Trash. (A window has a way of its own, and passes it.)"""
    try:
        send = importlib.import_module("send2trash").send2trash
    except ImportError:
        raise StorageError(
            "The trash cannot be reached from here: Send2Trash is not installed.", f"It lies at {path}."
        ) from None
    send(str(path))


def lines(verb: str, result: dict[str, Any]) -> Iterator[str]:
    """What to print for the result of a verb (`list`, `search`, `show`, `get`, `add`, `remove`)."""
    if verb in ("list", "add"):
        yield from _table([_row_cells(row) for row in result["models"]]) if result["models"] else ["No models here yet."]
        yield from (
            _printable(f"{row['name']}: {row['problem']} {row['hint']}".rstrip()) for row in result["models"] if row["problem"]
        )
        yield from map(_printable, result["notices"])
        for job in result.get("unfinished", ()):
            share = f"{100 * job['done'] // max(1, job['total'])} % of {size(job['total'])}"
            again = f"playground models get {job['repo']} --file {job['files'][0]}"
            yield f"unfinished: {job['repo']} {job['label']}, {share}; go on with: {again}"
    elif verb == "search":
        head = ("model", "parameters", "downloads", "likes", "licence", "access")
        rows = [
            (
                row["repo"],
                count(row["parameters"]),
                f"{row['downloads']:,}",
                f"{row['likes']:,}",
                row["licence"],
                "gated" if row["gated"] else "",
            )
            for row in result["models"]
        ]
        yield from _table([head, *rows]) if rows else ["Nothing found."]
    elif verb == "show" and "choices" in result:
        yield from _page_lines(result)
    elif verb == "show":
        yield from _table([(name, _plain(name, value)) for name, value in result.items() if value not in ("", 0, [], (), None)])
    elif verb == "get":
        yield result["path"]
    elif verb == "remove":
        yield f"{result['path']} {'is in the trash' if result['trashed'] else 'is off the list'}."


def progress_line(event: DownloadProgress) -> str:
    """One line for where a download is."""
    if event.message:
        return event.message
    share = f"{100 * event.done // event.total:3d} %" if event.total else "    "
    rate = f"  {size(int(event.rate))}/s" if event.rate else ""
    left = f"  {_duration(event.seconds_left)} left" if event.seconds_left > 0 else ""
    return f"{event.state:8s} {share}  {size(event.done)} of {size(event.total)}{rate}{left}"


def size(nbytes: int) -> str:
    """Bytes for people: `4.4 GB`."""
    for unit, power in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if nbytes >= power:
            return f"{nbytes / power:.1f} {unit}"
    return f"{nbytes} B"


def count(number: int) -> str:
    """Parameters for people: `7.2B`."""
    for unit, power in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if number >= power:
            return f"{number / power:.1f}{unit}"
    return str(number) if number else ""


def _flat(row: Row) -> dict[str, Any]:
    """A row as a dictionary: its values are plain, and copying each of them, as `asdict` does, takes a second for 8,000 rows."""
    return {name: getattr(row, name) for name in _FIELDS}


def _row(home: Home, name: str) -> Row:
    """The row of the library that a name stands for; a path that is in no place is looked at by itself."""
    rows = library.scan(home).rows
    exact = [row for row in rows if name in (row.name, row.path)]
    if len(exact) == 1:  # also a damaged one, and an adapter
        return exact[0]
    path = library.resolve(home, name, rows)
    return next((row for row in rows if Path(row.path) == path), None) or library.inspect(path)


def _page(page: ModelPage, judge: Judge | None) -> dict[str, Any]:
    judged = judge(page) if judge else ChoiceVerdicts({}, recommend(page.choices, None))
    best = judged.recommended
    return {
        **dataclasses.asdict(page.found),
        "revision": page.revision,
        "commit": page.commit,
        "access": page.access,
        "choices": [
            {
                "label": each.label,
                "kind": each.kind,
                "path": each.path,
                "files": [dataclasses.asdict(file) for file in each.files],
                "size": each.size,
                "quantization": each.quantization,
                "bits": each.bits,
                "quality": each.quality,
                "complete": each.complete,
                "fit": judged.verdicts[each.path].verdict if each.path in judged.verdicts else "",
                "fit_why": judged.verdicts[each.path].why if each.path in judged.verdicts else "",
                "recommended": each is best.choice,
            }
            for each in page.choices
        ],
        "files": [dataclasses.asdict(file) for file in page.files],
        "recommended": best.choice.path if best.choice else "",
        "why": best.why,
        "note": judged.note,
    }


def _page_lines(page: dict[str, Any]) -> Iterator[str]:
    facts = [
        page["repo"],
        count(page["parameters"]),
        page["licence"],
        f"{page['downloads']:,} downloads",
        f"{page['likes']:,} likes",
    ]
    yield "  ".join(fact for fact in facts if fact)
    if page["access"] == "gated":
        yield "gated: its authors ask for a login and an agreement first"
    rows = [("", "choice", "size", "fit", "quality", "file")]
    for each in page["choices"]:
        parts = f" ({len(each['files'])} files)" if len(each["files"]) > 1 else ""
        rows.append(
            (
                "*" if each["recommended"] else "",
                each["label"],
                size(each["size"]),
                each["fit"],
                each["quality"],
                each["path"] + parts,
            )
        )
    yield from _table(rows)
    yield f"* {page['why']}" if page["recommended"] else page["why"]
    if page["note"]:
        yield page["note"]
    yield from (f"{each['label']}: {each['fit_why']}" for each in page["choices"] if each["fit_why"] and not each["fit"])
    if page.get("card"):
        yield from ("", page["card"])


def _job(job: download_plan.Job) -> dict[str, Any]:
    return {
        "job": job.id, "repo": job.repo, "label": job.label, "state": job.state, "done": job.done, "total": job.total,
        "message": job.message, "alive": job.alive, "files": [file.path for file in job.files],
    }  # fmt: skip


def _row_cells(row: dict[str, Any]) -> tuple[str, ...]:
    context = f"{row['context']:,} tokens" if row["context"] else ""
    state = "damaged" if row["problem"] else row["kind"] if row["kind"] in ("adapter", "mmproj") else ""
    place = places.NAMES[row["place"]]
    return (
        _printable(row["name"]),
        _printable(row["architecture"]),
        count(row["parameters"]),
        row["quantization"],
        context,
        size(row["size"]),
        place,
        state,
    )


def _plain(name: str, value: Any) -> str:
    if name == "size":
        return size(value)
    if name == "parameters":
        return f"{count(value)} ({value:,})"
    return "\n".join(map(_printable, map(str, value))) if isinstance(value, (list, tuple)) else _printable(str(value))


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _printable(text: str) -> str:
    """A file may have a line break, or an escape sequence, in its name: on a terminal each is one visible mark."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"
