"""One file from the hub into the Hugging Face cache, so that it is there whole, checked and under its final name, or not at all.

It arrives as `blobs/<etag>.part` beside a note of what it is, can be killed at any byte and goes on at that byte, in this process or the
next; its hash is compared before it is renamed. The lock is the one that huggingface_hub itself takes, so that no other program gets the
same file meanwhile. Knows nothing of jobs and progress bars: a `Watch` is told.
"""

from __future__ import annotations

import json
import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from playground.errors import GatedError, HubError, NotFoundError
from playground.models import hub_client
from playground.models.fetch_disk import DiskSentences, Hash, check_room, discard, is_whole, note_of
from playground.models.files import RepoFile

TRIES = 8
"""Broken lines in a row, without a byte between them, before a download gives up."""

_PIECE = 1 << 20
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ETAG = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}")


class Stopped(Exception):
    """Somebody asked the transfer to stop; what has arrived is kept."""


class Watch(Protocol):
    """Who is told what a transfer does, and says when it should stop."""

    def stopped(self) -> bool: ...

    def arrived(self, count: int) -> None:
        """So many more bytes are on disk; negative when some were thrown away."""

    def doing(self, state: str, message: str = "") -> None: ...

    def wait(self, seconds: float) -> None:
        """Lets time pass; returns early when asked to stop."""


@dataclass(frozen=True)
class Origin:
    """Where a file comes from, and the cache that it goes to."""

    repo: str
    revision: str
    commit: str
    cache: Path
    token: str | None = None

    @property
    def folder(self) -> Path:
        """The repository's folder in the cache."""
        return self.cache / ("models--" + self.repo.replace("/", "--"))


class Transfer:
    """The way of one file. `run` may be called again after it was stopped or failed: it goes on where it was."""

    def __init__(self, origin: Origin, file: RepoFile, watch: Watch) -> None:
        self.origin, self.file, self._watch = origin, file, watch
        self._etag = ""
        self._size = file.size
        self._hash: Hash | None = None
        self._known = 0  # bytes of the part that are in the hash
        self._counted = 0  # bytes that the watch was told of
        self._resumed = False
        self._response: Any = None
        # the commit, so that no file of a set comes from a newer one; a hub that does not know it is asked for the revision
        self._revision = origin.commit if _COMMIT.fullmatch(origin.commit) else origin.revision

    def run(self) -> Path:
        """Gets the file; returns its path in the cache. Stopped, or a PlaygroundError; what has arrived is kept."""
        failures, before = 0, -1
        while True:
            try:
                return self._attempt()
            except (NotFoundError, GatedError, _WrongBytesError):
                raise
            except HubError as error:  # the line may come back
                failures = 1 if self._known > before else failures + 1
                before = max(before, self._known)
                if failures >= TRIES:
                    raise
                self._watch.doing("retrying", error.message)
                self._watch.wait(min(30.0, 0.25 * 2 ** (failures - 1)))
                self._check()

    def interrupt(self) -> None:
        """Ends a read that waits for a stalled line; from any thread."""
        response = self._response
        with suppress(Exception):
            response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def remove_part(self) -> None:
        """Throws away what has arrived of an unfinished file."""
        for part in self._parts(any_etag=True):
            discard(part)

    # -- inside, in the order of its happening

    def _attempt(self) -> Path:
        self._watch.doing("asking")
        self._ask()
        blob = self.origin.folder / "blobs" / self._etag
        if not is_whole(blob, self._size):
            with self._locked(), DiskSentences(self.file.path):
                if not is_whole(blob, self._size):
                    self._forget_older()
                    self._load(blob)
        if self._counted != self._size:
            self._tell(self._size - self._counted)
        return self._link(blob)

    def _ask(self) -> None:
        """What the hub says of the file now: its name in the cache, its size, its hash."""
        try:
            meta = self._metadata()
        except NotFoundError:
            if self._revision == self.origin.revision:
                raise
            self._revision = self.origin.revision
            meta = self._metadata()
        etag, size = str(meta.etag or ""), meta.size
        if not _ETAG.fullmatch(etag) or etag.endswith((".part", ".json", ".lock")) or size is None:
            raise hub_client.nonsense(self.file.path)
        if self._etag and etag != self._etag:  # the file on the hub is another one now
            self._hash, self._known = None, 0
            self._tell(-self._counted)
        self._etag, self._size = etag, int(size)

    def _metadata(self) -> Any:
        with hub_client.told(self.origin.repo, self.file.path):
            token = self.origin.token or False
            return hub_client.library().get_hf_file_metadata(self._url(), token=token, timeout=hub_client.READ_S)

    def _url(self) -> str:
        with hub_client.told(self.origin.repo, self.file.path):
            where = hub_client.library().hf_hub_url
            return str(where(self.origin.repo, self.file.path, revision=self._revision, endpoint=hub_client.endpoint()))

    def _locked(self) -> Any:
        """The lock that huggingface_hub takes for this blob; waits for it, and says so."""
        from filelock import Timeout

        path = self.origin.cache / ".locks" / self.origin.folder.name / f"{self._etag}.lock"
        with DiskSentences(self.file.path):
            path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            self._check()
            held = hub_client.utils().WeakFileLock(path, timeout=0.2)
            try:
                held.__enter__()
            except Timeout:
                self._watch.doing("waiting", f"Another download of {self.file.path} is under way; waiting for it.")
                continue
            return _Held(held)

    def _forget_older(self) -> None:
        for part in self._parts(any_etag=True):
            if part.name != f"{self._etag}.part":
                discard(part)

    def _parts(self, any_etag: bool = False) -> list[Path]:
        """Unfinished files of this path (in its older versions too)."""
        return [
            note.with_suffix("")
            for note in (self.origin.folder / "blobs").glob("*.part.json")
            if note_of(note).get("path") == self.file.path and (any_etag or note.name == f"{self._etag}.part.json")
        ]

    def _load(self, blob: Path) -> None:
        blob.parent.mkdir(parents=True, exist_ok=True)
        part = blob.with_name(blob.name + ".part")
        note = part.with_name(part.name + ".json")
        about = {"repo": self.origin.repo, "path": self.file.path, "etag": self._etag, "size": self._size}
        if part.exists() and (note_of(note) != about or part.stat().st_size > self._size):
            discard(part)
        missing = self._size - (part.stat().st_size if part.exists() else 0)
        check_room(part.parent, missing, self.file.path)
        if not note.exists():
            beside = note.with_name(f"{note.name}.{os.getpid()}.tmp")
            beside.write_text(json.dumps(about), encoding="utf-8")
            os.replace(beside, note)
        with open(part, "r+b" if part.exists() else "w+b", buffering=0) as out:
            self._take_stock(out)
            while self._known < self._size:
                self._stream(out)
            os.fsync(out.fileno())
        self._verify(part)
        os.replace(part, blob)
        note.unlink(missing_ok=True)

    def _take_stock(self, out: Any) -> None:
        """Reads what is there already into the hash: a hash cannot be kept over the end of a process."""
        there = out.seek(0, os.SEEK_END)
        if self._hash is None or self._known != there:
            self._hash, self._known = Hash(self._expected(), self._size), 0
            self._tell(-self._counted)
            out.seek(0)
            while self._known < there:
                self._watch.doing("checking")
                self._check()
                piece = out.read(min(_PIECE, there - self._known))
                if not piece:
                    break
                self._hash.update(piece)
                self._known += len(piece)
                self._tell(len(piece))
            self._resumed = there > 0
        out.seek(self._known)

    def _stream(self, out: Any) -> None:
        http = hub_client.utils()
        headers = {**hub_client.headers(self.origin.token), "Accept-Encoding": "identity"}
        if self._known:
            headers["Range"] = f"bytes={self._known}-"
        try:
            with (
                hub_client.told(self.origin.repo, self.file.path),
                http.get_session().stream("GET", self._url(), headers=headers) as response,
            ):
                self._response = response
                http.hf_raise_for_status(response)
                if self._known and response.status_code != 206:
                    self._start_over(out)
                elif self._known and not response.headers.get("Content-Range", "").startswith(f"bytes {self._known}-"):
                    raise hub_client.nonsense(self.file.path)
                self._watch.doing("loading")
                for piece in response.iter_bytes():
                    self._check()
                    self._take(out, piece)
        except HubError:
            self._check()  # a line that we cut ourselves is no broken one
            raise
        finally:
            self._response = None
        if self._known < self._size:
            raise HubError(f"The line broke while {self.file.path} was arriving.", "Try again: it goes on where it was.")

    def _take(self, out: Any, piece: bytes) -> None:
        if self._known + len(piece) > self._size:
            raise self._wrong("more bytes came than it has")
        assert self._hash is not None
        rest = memoryview(piece)
        while rest:
            written = out.write(rest)  # fewer than asked for when the disk is about to be full
            self._hash.update(rest[:written])
            self._known += written
            self._tell(written)
            rest = rest[written:]

    def _verify(self, part: Path) -> None:
        assert self._hash is not None
        if self._hash.matches():
            return
        if self._resumed:  # the older bytes may be the wrong ones (a disk, a crash): once more from the beginning
            self._resumed = False
            with open(part, "r+b", buffering=0) as out:
                self._start_over(out)
                while self._known < self._size:
                    self._stream(out)
                os.fsync(out.fileno())
            if self._hash.matches():
                return
        discard(part)
        raise self._wrong("its checksum is not the one that the hub names")

    def _wrong(self, why: str) -> _WrongBytesError:
        for part in self._parts():
            discard(part)
        self._hash, self._known = None, 0
        self._tell(-self._counted)
        return _WrongBytesError(
            f"{self.file.path} of {self.origin.repo} did not arrive as it should: {why}. It was thrown away.",
            "Try again; if it happens again, the file on the hub or the way to it is damaged.",
        )

    def _link(self, blob: Path) -> Path:
        """Gives the blob its name in the snapshot, by huggingface_hub itself, which finds the blob and only makes the link."""
        with DiskSentences(self.file.path), hub_client.told(self.origin.repo, self.file.path):
            linked = Path(
                hub_client.library().hf_hub_download(
                    self.origin.repo,
                    self.file.path,
                    revision=self._revision,
                    cache_dir=self.origin.cache,
                    token=self.origin.token or False,
                    endpoint=hub_client.endpoint(),
                )
            )
        if not linked.is_symlink() and blob.exists():  # no symlinks here (Windows): one file, not two
            os.replace(blob, linked)
        return linked

    def _start_over(self, out: Any) -> None:
        out.seek(0)
        out.truncate()
        self._hash, self._known = Hash(self._expected(), self._size), 0
        self._tell(-self._counted)

    def _expected(self) -> tuple[str, str]:
        """The kind of checksum and its value: SHA-256 of files in large-file storage, git's SHA-1 of small ones."""
        if re.fullmatch(r"[0-9a-f]{64}", self._etag):
            return "sha256", self._etag
        if self.file.sha256:
            return "sha256", self.file.sha256
        git = next((each for each in (self._etag, self.file.blob_id) if re.fullmatch(r"[0-9a-f]{40}", each)), "")
        if git:
            return "git", git
        if self.file.path.lower().endswith((".gguf", ".safetensors")):
            raise _WrongBytesError(
                f"The hub names no checksum for {self.file.path}, so it cannot be checked.", "Get it from another place."
            )
        return "", ""

    def _check(self) -> None:
        if self._watch.stopped():
            raise Stopped

    def _tell(self, count: int) -> None:
        self._counted += count
        if count:
            self._watch.arrived(count)


class _WrongBytesError(HubError):
    """Bytes that are not those of the hub's checksum. Crosses a process boundary as a HubError."""

    @property
    def kind(self) -> str:
        return "HubError"


class _Held:
    """A lock that is held already, to be let go by `with`."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock

    def __enter__(self) -> None: ...

    def __exit__(self, *why: Any) -> None:
        self._lock.__exit__(None, None, None)


def write_ref(origin: Origin, linked: Path) -> None:
    """Notes in the cache which commit the revision stands for, so that it is found under its name without the hub.

    `linked` is a file of it, under its final name: the commit is in its path.
    """
    commit = linked.relative_to(origin.folder / "snapshots").parts[0]
    parts = PurePosixPath(origin.revision).parts
    if origin.revision == commit or not parts or ".." in parts or parts[0] == "/":
        return
    ref = origin.folder.joinpath("refs", *parts)
    with DiskSentences(str(ref)):
        ref.parent.mkdir(parents=True, exist_ok=True)
        beside = ref.with_name(f".{ref.name}.{os.getpid()}.tmp")
        beside.write_text(commit, encoding="utf-8")
        os.replace(beside, ref)


__all__ = ["TRIES", "Origin", "Stopped", "Transfer", "Watch", "write_ref"]
