"""A file on the hub read in pieces by HTTP range: enough for a header, before a byte of weights is downloaded.

Read-ahead grows with what was read before, so that what is read beyond the header is never more than a quarter of it (nor more than
`LARGEST`), in some forty requests for the largest vocabularies. Knows nothing of what is in the file.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from playground.errors import HubError, NotFoundError
from playground.models import hub_client
from playground.models.gguf_header import GgufHeader, merge_splits, read_gguf, split_names
from playground.models.safetensors_header import SafetensorsHeader, read_safetensors

SMALLEST, LARGEST = 1 << 15, 1 << 19
_SMALL_FILE = 64 << 20


class RemoteFile:
    """`read(offset, length)` of a file on the hub, as the header readers want it. Not for several threads at once."""

    def __init__(self, repo: str, path: str, revision: str = "main", token: str | None = None) -> None:
        self.repo, self.path = repo, path
        self.size: int | None = None
        """bytes of the whole file; known after the first read"""
        self.bytes_read = 0
        """bytes of content that the hub was asked for"""
        self._headers = hub_client.headers(token)
        library = hub_client.library()
        with hub_client.told(repo, path):
            self._url = library.hf_hub_url(repo, path, revision=revision, endpoint=hub_client.endpoint())
        self._start, self._data = 0, b""

    def read(self, offset: int, length: int) -> bytes:
        """The bytes there; fewer only at the end of the file. HubError and its kin when the hub will not."""
        at = offset - self._start
        if at >= 0 and at + length <= len(self._data):
            return self._data[at : at + length]
        kept = self._data[at:] if 0 <= at < len(self._data) else b""
        start = offset + len(kept)
        wanted = max(length - len(kept), min(LARGEST, max(SMALLEST, start // 4)))
        if self.size is not None:
            wanted = min(wanted, self.size - start)
        more = self._range(start, wanted) if wanted > 0 else b""
        self._start, self._data = offset, kept + more
        return self._data[:length]

    def _range(self, start: int, length: int) -> bytes:
        http = hub_client.utils()
        asked = {**self._headers, "Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
        with hub_client.told(self.repo, self.path), http.get_session().stream("GET", self._url, headers=asked) as response:
            if response.status_code == 416:
                return b""
            http.hf_raise_for_status(response)
            if response.headers.get("Content-Type", "").startswith("text/html") and not self.path.endswith((".html", ".htm")):
                raise hub_client.nonsense(f"{self.path} of {self.repo}")
            if response.status_code == 200:
                self.size = _number(response.headers.get("Content-Length"))
                if start:
                    raise HubError("The hub does not send parts of files.", "The header cannot be read before the download.")
            else:
                self.size = _number(response.headers.get("Content-Range", "").rpartition("/")[2])
            data = b""
            for piece in response.iter_bytes(1 << 16):
                data += piece
                if len(data) >= length:
                    break
            self.bytes_read += len(data)
            self._remember(str(response.url))
            return data[:length]

    def _remember(self, url: str) -> None:
        """Where the hub sent us on to: the next range goes there at once, without the token if it is another host."""
        if urlsplit(url).netloc != urlsplit(self._url).netloc:
            self._headers = {name: value for name, value in self._headers.items() if name.lower() != "authorization"}
        self._url = url


def remote_gguf(repo: str, path: str, revision: str = "main", token: str | None = None) -> tuple[GgufHeader, list[RemoteFile]]:
    """The header of a GGUF file on the hub (all headers of a split), and the files read, for their counts of bytes."""
    folder = path.rpartition("/")[0]
    headers, read = [], []
    for name in split_names(path.rpartition("/")[2]):
        file = RemoteFile(repo, f"{folder}/{name}" if folder else name, revision, token)
        read.append(file)
        # a small window: what is read ahead is decided in `RemoteFile`
        headers.append(read_gguf(file.read, name, _size(file), window=1 << 14))
    return merge_splits(headers), read


def remote_safetensors(
    repo: str, path: str, revision: str = "main", token: str | None = None
) -> tuple[SafetensorsHeader, RemoteFile]:
    """The header of one safetensors file on the hub."""
    file = RemoteFile(repo, path, revision, token)
    return read_safetensors(file.read, path, _size(file)), file


def read_whole(repo: str, path: str, revision: str = "main", token: str | None = None, limit: int = _SMALL_FILE) -> bytes:
    """A small file (config, index, card) as it lies on the hub, at most `limit` bytes of it; nothing is kept on disk."""
    file = RemoteFile(repo, path, revision, token)
    data = b""
    while len(data) < limit and (piece := file.read(len(data), 1 << 18)):
        data += piece
        if file.size is not None and len(data) >= file.size:
            break
    if not data and file.size is None:
        raise NotFoundError(f"{path} of {repo} is empty.", "Choose another file.")
    return data[:limit]


def _size(file: RemoteFile) -> int | None:
    file.read(0, 64)
    return file.size


def _number(text: Any) -> int | None:
    return int(text) if text and str(text).isdigit() else None
