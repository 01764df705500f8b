"""A hub on this machine that the real huggingface_hub client talks to through `HF_ENDPOINT`, and that fails on demand.

    python -m tests.loopback_hub FOLDER [--port N]     serves FOLDER/<owner>/<name>/*

Serves what the client asks for (search with paging, info, tree, paths-info, auth-check, whoami, HEAD and GET of files with ranges)
from memory or from a folder, and takes what it uploads (create, preupload, LFS batch, PUT and verify, commit) from whoever's name the
repository begins with. `hub.faults` says what goes wrong, `hub.log` what was asked and how much was sent.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

LARGE = (".gguf", ".safetensors", ".bin", ".pt")


@dataclass
class Blob:
    """One file: its bytes, read when asked for."""

    source: bytes | Path

    @property
    def data(self) -> bytes:
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()

    @property
    def size(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def git(self) -> str:
        return hashlib.sha1(b"blob %d\0" % self.size + self.data).hexdigest()


@dataclass
class Repo:
    """A repository and what the hub says of it."""

    id: str
    files: dict[str, Blob]
    downloads: int = 0
    likes: int = 0
    modified: str = "2026-01-01T00:00:00.000Z"
    licence: str = "apache-2.0"
    gated: str = ""
    parameters: int = 0
    architecture: str = "llama"
    private: bool = False
    _etags: dict[str, str] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        listing = "\n".join(f"{path} {self.etag(path)}" for path in sorted(self.files))
        return hashlib.sha1(f"{self.id}\n{listing}".encode()).hexdigest()

    def etag(self, path: str) -> str:
        blob = self.files[path]
        if path not in self._etags:
            self._etags[path] = blob.sha256() if path.endswith(LARGE) else blob.git()
        return self._etags[path]

    def put(self, path: str, data: bytes) -> None:
        """A new version of a file."""
        self.files[path] = Blob(data)
        self._etags.pop(path, None)

    def tags(self) -> list[str]:
        formats = {path.rpartition(".")[2] for path in self.files} & {"gguf", "safetensors"}
        return [*sorted(formats), f"license:{self.licence}"]


@dataclass
class Faults:
    """What goes wrong. Nothing, by default."""

    drop_after: int = 0
    """close the line after so many bytes of a file, each time"""
    drops: int = 1_000_000
    """how many times that happens"""
    wrong: dict[str, int] = field(default_factory=dict)
    """path -> place of a byte that is sent flipped"""
    slow: float = 0.0
    """seconds between pieces of a file of 64 KB"""
    stall_at: int = 0
    """send so many bytes, then nothing more, with the line open"""
    hold_at: int = 0
    """at this byte of a file, wait until `hub.go` is set: lets a test act at a known place"""
    answer: str = ""
    """`500`, `503`, `html` or `nothing` to every question"""
    no_ranges: bool = False
    redirect: bool = True
    """large files come from another host name, as on the real hub"""


@dataclass
class Asked:
    """One request and what was sent for it."""

    method: str
    path: str
    range: str = ""
    token: str = ""
    host: str = ""
    sent: int = 0
    """bytes of content"""


class LoopbackHub:
    """The server. `with LoopbackHub() as hub:` or `start` and `close`."""

    def __init__(self, folder: Path | None = None, port: int = 0) -> None:
        self.repos: dict[str, Repo] = {}
        self.faults = Faults()
        self.log: list[Asked] = []
        self.tokens: dict[str, str] = {}
        """accepted token -> account name"""
        self.uploaded: dict[str, bytes] = {}
        """large files that have arrived, by SHA-256; they belong to a repository from its commit on"""
        if folder is not None:
            for place in sorted(folder.glob("*/*")):
                if place.is_dir():
                    files = {str(p.relative_to(place)): Blob(p) for p in sorted(place.rglob("*")) if p.is_file()}
                    self.repos[f"{place.parent.name}/{place.name}"] = Repo(f"{place.parent.name}/{place.name}", files)
        hub = self

        class Bound(_Handler):
            pass

        Bound.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Bound)
        self._server.daemon_threads = True
        self.stopping = threading.Event()
        self.go = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, repo: str, files: dict[str, bytes], **facts: Any) -> Repo:
        self.repos[repo] = Repo(repo, {path: Blob(data) for path, data in files.items()}, **facts)
        return self.repos[repo]

    def sent(self, path: str = "") -> int:
        """Bytes of content sent for a file (all files)."""
        return sum(asked.sent for asked in self.log if path in asked.path)

    def start(self) -> LoopbackHub:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="hub", daemon=True).start()
        return self

    def close(self) -> None:
        self.stopping.set()
        self.go.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> LoopbackHub:
        return self.start()

    def __exit__(self, *why: object) -> None:
        self.close()


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None: ...

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # whoever asked has gone: nothing that another test should read on stderr
            self.close_connection = True

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    # -- what is asked

    def _answer(self) -> None:
        url = urlsplit(self.path)
        self.path_only, self.query = unquote(url.path), parse_qs(url.query)
        self.body = self._body()
        self.token = (self.headers.get("Authorization") or "").removeprefix("Bearer ").strip()
        self.asked = Asked(
            self.command, self.path_only, self.headers.get("Range") or "", self.token, self.headers.get("Host") or ""
        )
        self.hub.log.append(self.asked)
        if self._fault():
            return
        for pattern, act in self._routes():
            if match := re.fullmatch(pattern, self.path_only):
                act(**match.groupdict())
                return
        self._error(404, "RepoNotFound")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _fault(self) -> bool:
        fault = self.hub.faults.answer
        if fault in ("500", "503"):
            self._send(int(fault), b"trouble", "text/plain")
        elif fault == "html":
            self._send(200, b"<!doctype html><html><body>Please log in to this network</body></html>", "text/html")
        elif fault == "nothing":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        return bool(fault)

    def _routes(self) -> Iterator[tuple[str, Any]]:
        repo, rev = r"(?P<repo>[^/]+/[^/]+)", r"(?P<rev>[^/]+)"
        yield r"/api/models/?", self._search
        yield r"/api/whoami-v2", self._whoami
        yield r"/api/repos/create", self._create
        yield r"/api/validate-yaml", self._validate
        yield rf"/api/models/{repo}/preupload/{rev}", self._preupload
        yield rf"/api/models/{repo}/commit/{rev}", self._commit
        yield r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", self._batch
        yield r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/verify", self._verify
        yield r"/lfs/(?P<oid>[0-9a-f]{64})", self._arrive
        yield rf"/api/models/{repo}/auth-check", self._auth_check
        yield rf"/api/models/{repo}/tree/{rev}/?(?P<path>.*)", self._tree
        yield rf"/api/models/{repo}/paths-info/{rev}", self._paths_info
        yield rf"/api/models/{repo}(/revision/{rev})?", self._info
        yield rf"/{repo}/resolve/{rev}/(?P<path>.+)", self._resolve
        yield r"/cdn/(?P<repo>[^/]+/[^/]+)/(?P<path>.+)", self._cdn

    def _search(self) -> None:
        def word(name: str) -> str:
            return self.query.get(name, [""])[0]

        found = list(self.hub.repos.values())
        for text in word("search").lower().split():
            found = [repo for repo in found if text in repo.id.lower()]
        for tag in self.query.get("filter", []):
            found = [repo for repo in found if tag in repo.tags()]
        if word("author"):
            found = [repo for repo in found if repo.id.startswith(word("author") + "/")]
        if word("gated"):
            found = [repo for repo in found if bool(repo.gated) == (word("gated").lower() == "true")]
        key = {"likes": lambda r: r.likes, "lastModified": lambda r: r.modified}.get(word("sort"), lambda r: r.downloads)
        found.sort(key=key, reverse=True)
        limit, start = int(word("limit") or 1000), int(word("cursor") or 0)
        page = [self._facts(repo) for repo in found[start : start + limit]]
        more = {}
        if start + limit < len(found):
            rest = "&".join(f"{name}={quote(value)}" for name in self.query if name != "cursor" for value in self.query[name])
            more["Link"] = f'<{self.hub.url}/api/models?{rest}&cursor={start + limit}>; rel="next"'
        self._json(page, more)

    def _facts(self, repo: Repo) -> dict[str, Any]:
        facts = {
            "_id": "0", "id": repo.id, "modelId": repo.id, "author": repo.id.partition("/")[0], "sha": repo.commit,
            "lastModified": repo.modified, "downloads": repo.downloads, "likes": repo.likes, "private": repo.private,
            "gated": repo.gated or False, "tags": repo.tags(), "pipeline_tag": "text-generation",
        }  # fmt: skip
        if any(path.endswith(".gguf") for path in repo.files) and repo.parameters:
            facts["gguf"] = {"total": repo.parameters, "architecture": repo.architecture, "context_length": 4096}
        return facts

    def _info(self, repo: str, rev: str | None) -> None:
        found = self._repo(repo, rev, files=False)
        if found is None:
            return
        siblings: list[dict[str, Any]] = [{"rfilename": path} for path in sorted(found.files)]
        if "blobs" in self.query:
            for each in siblings:
                each |= {"size": found.files[each["rfilename"]].size, "blobId": found.files[each["rfilename"]].git()}
                if each["rfilename"].endswith(LARGE):
                    each["lfs"] = {"sha256": found.etag(each["rfilename"]), "size": each["size"], "pointerSize": 135}
        self._json({**self._facts(found), "siblings": siblings})

    def _entry(self, repo: Repo, path: str) -> dict[str, Any]:
        blob = repo.files[path]
        entry: dict[str, Any] = {"type": "file", "path": path, "size": blob.size, "oid": blob.git()}
        if path.endswith(LARGE):
            entry["lfs"] = {"oid": repo.etag(path), "size": blob.size, "pointerSize": 135}
        return entry

    def _tree(self, repo: str, rev: str, path: str) -> None:
        if found := self._repo(repo, rev, files=False):
            self._json([self._entry(found, each) for each in sorted(found.files) if each.startswith(path)])

    def _paths_info(self, repo: str, rev: str) -> None:
        if found := self._repo(repo, rev, files=False):
            wanted = parse_qs(self.body.decode()).get("paths", [])
            self._json([self._entry(found, each) for each in wanted if each in found.files])

    def _auth_check(self, repo: str) -> None:
        if self._repo(repo, None, files=True):
            self._json({})

    def _whoami(self) -> None:
        if self.token in self.hub.tokens:
            self._json({"type": "user", "name": self.hub.tokens[self.token], "auth": {"accessToken": {"role": "read"}}})
        else:
            self._send(401, b'{"error":"Invalid credentials in Authorization header"}', "application/json")

    def _resolve(self, repo: str, rev: str, path: str) -> None:
        found = self._repo(repo, rev, files=True)
        if found is None:
            return
        if path not in found.files:
            self._error(404, "EntryNotFound", {"X-Repo-Commit": found.commit})
            return
        about = {"X-Repo-Commit": found.commit, "ETag": f'"{found.etag(path)}"', "Accept-Ranges": "bytes"}
        if path.endswith(LARGE):
            about |= {"X-Linked-ETag": f'"{found.etag(path)}"', "X-Linked-Size": str(found.files[path].size)}
            if self.hub.faults.redirect:
                where = self.hub.url.replace("127.0.0.1", "localhost")
                self._send(302, b"", "text/plain", {**about, "Location": f"{where}/cdn/{repo}/{quote(path)}"})
                return
        self._file(found, path, about)

    def _cdn(self, repo: str, path: str) -> None:
        found = self.hub.repos[repo]
        self._file(found, path, {"ETag": f'"{found.etag(path)}"', "Accept-Ranges": "bytes"})

    # -- what is taken

    def _may_write(self, repo: str) -> bool:
        account = self.hub.tokens.get(self.token)
        if account is None:
            self._send(401, b'{"error":"Invalid username or password."}', "application/json")
        elif repo.partition("/")[0] != account:
            self._send(403, b'{"error":"You have no right to create a model under the namespace."}', "application/json")
        return account is not None and repo.partition("/")[0] == account

    def _create(self) -> None:
        asked = json.loads(self.body)
        repo = f"{asked.get('organization') or self.hub.tokens.get(self.token, '')}/{asked['name']}"
        if self._may_write(repo):
            if repo in self.hub.repos:
                self._send(409, b'{"error":"You already created this model repo"}', "application/json")
                return
            self.hub.add(repo, {}, private=asked.get("visibility") == "private" or bool(asked.get("private")))
            self._json({"url": f"{self.hub.url}/{repo}", "name": repo, "id": repo})

    def _validate(self) -> None:
        text = json.loads(self.body)["content"]
        wrong = (
            []
            if text.startswith("---\n") and "\n---" in text[3:]
            else [{"message": "empty or missing yaml metadata in repo card"}]
        )
        self._json({"warnings": wrong, "errors": []})

    def _preupload(self, repo: str, rev: str) -> None:
        if self._may_write(repo) and self._repo(repo, rev, files=False):
            files = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith(LARGE) else "regular",
                    "shouldIgnore": False,
                }
                for each in json.loads(self.body)["files"]
            ]
            self._json({"files": files})

    def _batch(self, repo: str) -> None:
        if self._may_write(repo):
            where = self.hub.url.replace("127.0.0.1", "localhost")
            found = []
            for each in json.loads(self.body)["objects"]:
                actions = {
                    "upload": {"href": f"{where}/lfs/{each['oid']}", "header": {}},
                    "verify": {"href": f"{self.hub.url}/{repo}.git/info/lfs/objects/verify", "header": {}},
                }
                found.append(each | ({} if each["oid"] in self.hub.uploaded else {"actions": actions}))
            self._json({"transfer": "basic", "objects": found})

    def _arrive(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            self._send(400, b"not what was announced", "text/plain")
            return
        self.hub.uploaded[oid] = self.body
        self._send(200, b"", "text/plain", {"ETag": f'"{oid}"'})

    def _verify(self, repo: str) -> None:
        asked = json.loads(self.body)
        there = asked["oid"] in self.hub.uploaded and len(self.hub.uploaded[asked["oid"]]) == asked["size"]
        self._send(200 if there else 404, b"{}", "application/json")

    def _commit(self, repo: str, rev: str) -> None:
        found = self._repo(repo, rev, files=False) if self._may_write(repo) else None
        if found is not None:
            for line in map(json.loads, self.body.splitlines()):
                if line["key"] == "file":
                    found.put(line["value"]["path"], base64.b64decode(line["value"]["content"]))
                elif line["key"] == "lfsFile":
                    found.put(line["value"]["path"], self.hub.uploaded[line["value"]["oid"]])
            self._json(
                {"commitOid": found.commit, "commitUrl": f"{self.hub.url}/{repo}/commit/{found.commit}", "success": True}
            )

    # -- what is sent

    def _repo(self, name: str, rev: str | None, files: bool) -> Repo | None:
        repo = self.hub.repos.get(name)
        if repo is None:
            self._error(404, "RepoNotFound")
            return None
        if rev not in (None, "main", repo.commit):
            self._error(404, "RevisionNotFound")
            return None
        if files and repo.gated and self.token not in self.hub.tokens:
            self._error(403 if self.token else 401, "GatedRepo")
            return None
        return repo

    def _file(self, repo: Repo, path: str, about: dict[str, str]) -> None:
        data, faults = repo.files[path].data, self.hub.faults
        if path in faults.wrong:
            place = faults.wrong[path]
            data = data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
        start, end, status = 0, len(data), 200
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.asked.range)
        if match and not faults.no_ranges:
            start, end = int(match[1]), min(len(data), int(match[2]) + 1 if match[2] else len(data))
            if start >= len(data):
                self._send(416, b"", "text/plain", {"Content-Range": f"bytes */{len(data)}"})
                return
            status = 206
            about["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        self._head(status, end - start, "application/octet-stream", about)
        if self.command == "HEAD":
            return
        budget = end - start
        if faults.drop_after and faults.drops > 0 and budget > faults.drop_after:
            faults.drops -= 1
            budget = faults.drop_after
        if faults.stall_at:
            budget = min(budget, faults.stall_at)
        hold, place = faults.hold_at, start
        while place < start + budget:
            stop = min(place + (1 << 16), start + budget)
            if place < hold < stop:
                stop = hold
            self.asked.sent += stop - place  # before who gets it can have it, and asks
            self.wfile.write(data[place:stop])
            self.wfile.flush()
            place = stop
            if place == hold:
                self.hub.go.wait()
            if faults.slow:
                time.sleep(faults.slow)
        if faults.stall_at and budget < end - start:
            self.hub.stopping.wait()
        if budget < end - start:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _error(self, status: int, code: str, more: dict[str, str] | None = None) -> None:
        words = json.dumps({"error": code}).encode()
        self._send(status, words, "application/json", {"X-Error-Code": code, "X-Error-Message": code, **(more or {})})

    def _json(self, value: Any, more: dict[str, str] | None = None) -> None:
        self._send(200, json.dumps(value).encode(), "application/json", more)

    def _send(self, status: int, data: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        self._head(status, len(data), kind, more or {})
        if self.command != "HEAD":
            self.wfile.write(data)

    def _head(self, status: int, length: int, kind: str, more: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(length), **more}.items():
            self.send_header(name, value)
        self.end_headers()


def main() -> None:
    parser = argparse.ArgumentParser(description="A Hugging Face hub on this machine, for trying the program by hand.")
    parser.add_argument("folder", type=Path, help="holds <owner>/<name>/ folders of model files")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with LoopbackHub(options.folder, options.port) as hub:
        print(f"HF_ENDPOINT={hub.url}", flush=True)
        print(f"{len(hub.repos)} models: {', '.join(hub.repos)}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            os._exit(0)


if __name__ == "__main__":
    main()
