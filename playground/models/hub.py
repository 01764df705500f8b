"""Asking the hub: search, a model's page, its files as choices. Every failure leaves as a sentence.

Nothing is asked that the caller did not ask for; one object can be used by several threads. Downloads are elsewhere (`fetch`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal

from playground.errors import GatedError, NotFoundError
from playground.models import hub_client, remote
from playground.models import token as tokens
from playground.models.files import Choice, Recommendation, RepoFile, choices, recommend
from playground.models.gguf_header import GgufHeader

Sort = Literal["downloads", "likes", "recent"]
PAGE = 30
_SORTS = {"downloads": "downloads", "likes": "likes", "recent": "lastModified"}
_EXPAND = ("author", "downloads", "likes", "lastModified", "gated", "private", "tags", "gguf", "safetensors")
_CARD_LIMIT = 1 << 20
_MOST_PAGES = 10


@dataclass(frozen=True)
class Query:
    """What to search for. Sizes in parameters; `licence` as the hub writes it (`apache-2.0`); `gated` None for both kinds."""

    text: str = ""
    formats: tuple[str, ...] = ()
    """any of `gguf`, `safetensors`"""
    smallest: int = 0
    largest: int = 0
    licence: str = ""
    gated: bool | None = None
    author: str = ""
    sort: Sort = "downloads"


@dataclass(frozen=True)
class Found:
    """One result of a search. Numbers are 0 where the hub does not say."""

    repo: str
    downloads: int = 0
    likes: int = 0
    modified: str = ""
    """ISO date"""
    licence: str = ""
    gated: str = ""
    """empty, `auto` (agree and go) or `manual` (somebody has to let you in)"""
    parameters: int = 0
    architecture: str = ""
    context: int = 0
    formats: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelPage:
    """What the hub knows of one model."""

    found: Found
    revision: str
    """the revision asked for"""
    commit: str
    """what it stands for now"""
    files: tuple[RepoFile, ...]
    choices: tuple[Choice, ...]
    access: Literal["open", "gated", "granted"] = "open"
    """`gated`: a login or an agreement is missing"""

    @property
    def repo(self) -> str:
        return self.found.repo


class Search:
    """Results of a query, fetched page by page as they are asked for."""

    def __init__(self, rows: Iterator[Found]) -> None:
        self._rows = rows
        self.ended = False

    def more(self, count: int = PAGE) -> list[Found]:
        """The next results, at most `count`; fewer at the end."""
        rows = list(islice(self._rows, count))
        self.ended = len(rows) < count
        return rows


class Hub:
    """The hub under a token (by default the one in force). Cheap to make: nothing is imported or asked before the first question."""

    def __init__(self, token: Callable[[], str | None] = tokens.current) -> None:
        self._token = token

    def search(self, query: Query) -> Search:
        """Models that match; nothing is asked before `more`."""
        return Search(self._results(query))

    def model(self, repo: str, revision: str = "main") -> ModelPage:
        """A model's files, choices and facts. NotFoundError, GatedError, OfflineError, HubError."""
        repo = check_repo(repo)
        token = self._token() or False
        with hub_client.told(repo):
            api = hub_client.library().HfApi(endpoint=hub_client.endpoint(), token=token)
            info = api.model_info(repo, revision=None if revision == "main" else revision, files_metadata=True)
            found = _found(info)
            files = tuple(_file(each) for each in info.siblings or ())
        access: Literal["open", "gated", "granted"] = "open"
        if found.gated:
            access = self._access(api, repo)
        return ModelPage(found, revision, str(info.sha or ""), files, choices(files), access)

    def card(self, repo: str, revision: str = "main") -> str:
        """The model card as Markdown, its YAML head left out; empty if there is none."""
        try:
            data = remote.read_whole(check_repo(repo), "README.md", revision, self._token(), _CARD_LIMIT)
        except NotFoundError:
            return ""
        text = data.decode("utf-8", "replace").replace("\r\n", "\n")
        if text.startswith("---\n") and (end := text.find("\n---", 3)) > 0:
            text = text[text.find("\n", end + 1) + 1 :] if "\n" in text[end + 1 :] else ""
        return text.strip()

    def remote(self, repo: str, path: str, revision: str = "main") -> remote.RemoteFile:
        """A file to be read in pieces; its `read` is what the header readers want."""
        return remote.RemoteFile(check_repo(repo), path, revision, self._token())

    def gguf_header(self, repo: str, path: str, revision: str = "main") -> GgufHeader:
        """The header of a GGUF file (or split) on the hub; no weights are read."""
        return remote.remote_gguf(check_repo(repo), path, revision, self._token())[0]

    def read(self, repo: str, path: str, revision: str = "main") -> bytes:
        """A small file, such as config.json, whole."""
        return remote.read_whole(check_repo(repo), path, revision, self._token())

    def who(self) -> str:
        """The account name behind the token, empty without one. GatedError for a token that is not accepted."""
        token = self._token()
        if not token:
            return ""
        with hub_client.told():
            answer = hub_client.library().HfApi(endpoint=hub_client.endpoint(), token=token).whoami()
            return str(answer["name"])

    def _results(self, query: Query) -> Iterator[Found]:
        wanted = list(query.formats) or [""]
        for form in wanted:
            seen: set[str] = set()
            for row in self._rows(query, form):
                if (
                    row.repo not in seen
                    and _matches(query, row)
                    and not (form == "safetensors" and "gguf" in wanted and "gguf" in row.formats)
                ):
                    seen.add(row.repo)
                    yield row

    def _rows(self, query: Query, form: str) -> Iterator[Found]:
        from_hub = hub_client.headers(self._token())  # imports the library
        http = hub_client.utils()
        model_info: Any = hub_client.library().ModelInfo
        asked: dict[str, Any] = {"limit": PAGE, "sort": _SORTS[query.sort], "expand": list(_EXPAND)}
        tags = [tag for tag in (form, f"license:{query.licence}" if query.licence else "") if tag]
        if tags:
            asked["filter"] = tags
        if query.text.strip():
            asked["search"] = query.text.strip()
        if query.author:
            asked["author"] = query.author
        if query.gated is not None:
            asked["gated"] = query.gated
        if query.smallest or query.largest:
            bounds = (f"min:{query.smallest}" if query.smallest else "", f"max:{query.largest}" if query.largest else "")
            asked["num_parameters"] = ",".join(each for each in bounds if each)
        items = iter(http.paginate(f"{hub_client.endpoint()}/api/models", params=asked, headers=from_hub))
        for _ in range(PAGE * _MOST_PAGES):
            with hub_client.told("the search"):
                item = next(items, None)
                if item is None:
                    return
                row = _found(model_info(**{"siblings": None, **item}))
            yield row

    def _access(self, api: Any, repo: str) -> Literal["gated", "granted"]:
        try:
            with hub_client.told(repo):
                api.auth_check(repo)
        except (GatedError, NotFoundError):
            return "gated"
        return "granted"


def check_repo(repo: str) -> str:
    """A repository's name as `owner/name`, also from its web address. NotFoundError for what cannot be one."""
    repo = repo.strip()
    for start in (hub_client.endpoint() + "/", "https://huggingface.co/", "https://hf.co/", "hf.co/", "hf://"):
        repo = repo.removeprefix(start)
    repo = repo.strip("/")
    with hub_client.told(repo):
        hub_client.utils().validate_repo_id(repo)
    return repo


def recommended(page: ModelPage, fit: Callable[[Choice], str] | None = None) -> Recommendation:
    """The choice to take from a page, and why; see `files.recommend`."""
    return recommend(page.choices, fit)


def _found(info: Any) -> Found:
    tags = [str(tag) for tag in info.tags or ()]
    gguf = info.gguf if isinstance(info.gguf, dict) else {}
    licence = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), "")
    card = getattr(info, "card_data", None)
    if not licence and card is not None:
        licence = str(getattr(card, "license", "") or "")
    names = [str(each.rfilename).lower() for each in info.siblings or ()]
    formats = tuple(
        form for form in ("gguf", "safetensors") if form in tags or any(name.endswith("." + form) for name in names)
    )
    total = gguf.get("total") or getattr(info.safetensors, "total", 0) or 0
    modified = info.last_modified
    return Found(
        repo=str(info.id),
        downloads=int(info.downloads or 0),
        likes=int(info.likes or 0),
        modified=modified.date().isoformat() if isinstance(modified, datetime) else "",
        licence=licence,
        gated=str(info.gated) if info.gated else "",
        parameters=int(total) if isinstance(total, int) else 0,
        architecture=str(gguf.get("architecture") or ""),
        context=int(gguf.get("context_length") or 0),
        formats=formats,
    )


def _file(sibling: Any) -> RepoFile:
    lfs = sibling.lfs
    sha256 = str((lfs.get("sha256") if isinstance(lfs, dict) else getattr(lfs, "sha256", "")) or "") if lfs else ""
    return RepoFile(str(sibling.rfilename), int(sibling.size or 0), sha256.lower(), str(sibling.blob_id or "").lower())


def _matches(query: Query, row: Found) -> bool:
    """Holds a row against the query again: a mirror of the hub may know fewer filters than the hub."""
    if query.formats and row.formats and not set(query.formats) & set(row.formats):
        return False
    if query.licence and row.licence != query.licence:
        return False
    if query.gated is not None and bool(row.gated) != query.gated:
        return False
    if row.parameters and query.smallest and row.parameters < query.smallest:
        return False
    return not (row.parameters and query.largest and row.parameters > query.largest)
