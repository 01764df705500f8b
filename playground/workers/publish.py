"""The publishing worker: makes a repository on the hub where there is none, and sends what was shown, in one commit.

The token is read here, and what is sent is decided by `training.publishing` once more. Nothing is visible there before the commit; files
that arrived before a break are not sent twice.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from playground.errors import Cancelled, DataError, GatedError, HubError, NotFoundError, PlaygroundError
from playground.models import hub_client
from playground.models import token as tokens
from playground.models.hub import check_repo
from playground.protocol import Finished, Progress, Publish, Published
from playground.training.publishing import contents, parcel
from playground.workers.base import Link

READ_S = 120.0
"""how long the hub may take to answer once a large file is through"""
AGAIN = "Try again: what has arrived is not sent twice."


class Publishing:
    """The role."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def commands(self) -> Mapping[type, Callable[[Any], None]]:
        return {Publish: self.publish}

    def close(self) -> None:
        pass

    def publish(self, command: Publish) -> None:
        made = replace(parcel(Path(command.path), card=command.card), base=command.base, card=command.card)
        if tuple(name for name, _ in made.files) != command.files:
            raise DataError("The folder has changed since it was shown.", "Look at it again before it is published.")
        token = tokens.current()
        if not token:
            raise GatedError("Publishing needs your Hugging Face token.", "Enter one with write access in the settings.")
        hub_client.READ_S = READ_S
        repo = check_repo(command.repo)
        self._say(command, "asking the hub", 0.0)
        try:
            created = self._make_repo(repo, token, command.private)
            commit = self._send(command, repo, token, made)
        except PlaygroundError as error:
            error.message, error.hint = tokens.scrub(error.message), tokens.scrub(error.hint)
            raise
        self._link.send(
            Published(command.request, repo, f"{hub_client.endpoint()}/{repo}", commit, command.files, made.bytes, created)
        )
        self._link.send(Finished(command.request))

    def _make_repo(self, repo: str, token: str, private: bool) -> bool:
        """Whether it had to be made."""
        api = hub_client.library().HfApi(endpoint=hub_client.endpoint(), token=token)
        try:
            with hub_client.told(repo):
                found = api.repo_info(repo)
        except NotFoundError:
            with _told(repo):
                api.create_repo(repo, private=private, exist_ok=True)
            return True
        if private and not found.private:
            raise HubError(f"{repo} is there already, and everybody can see it.", "Choose another name for what is private.")
        return False

    def _send(self, command: Publish, repo: str, token: str, made: Any) -> str:
        library = hub_client.library()
        api = library.HfApi(endpoint=hub_client.endpoint(), token=token)
        with ExitStack() as stack, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tally = _Tally(lambda what, done: self._going(command, what, done), made.bytes)
            additions = []
            for name, source in contents(made):
                given = source if isinstance(source, bytes) else stack.enter_context(_Read(source, tally))
                additions.append(library.CommitOperationAdd(path_in_repo=name, path_or_fileobj=given))
            tally.begin("sending")
            with _told(repo):
                answer = api.create_commit(
                    repo, additions, commit_message=f"{Path(command.path).stem}, published with Playground", num_threads=1
                )
        return str(answer.oid)

    def _going(self, command: Publish, what: str, done: float) -> None:
        if self._link.pending and self._link.cancelled(command.request):
            raise Cancelled("Cancelled: nothing was published.")
        self._say(command, what, done)

    def _say(self, command: Publish, what: str, done: float) -> None:
        self._link.send(Progress(command.request, done, what))


class _Tally:
    """Bytes that were read, first to be hashed and then to be sent."""

    def __init__(self, tell: Callable[[str, float], None], total: int) -> None:
        self._tell, self._total = tell, max(1, total)
        self.begin("checking")

    def begin(self, what: str) -> None:
        self._what, self._done, self._told = what, 0, 0

    def add(self, count: int) -> None:
        self._done += count
        if self._done - self._told >= self._total // 100:
            self._told = self._done
            self._tell(self._what, min(1.0, self._done / self._total))


class _Read(io.BufferedReader):
    """A file that tells how much of it is read."""

    def __init__(self, path: Path, tally: _Tally) -> None:
        super().__init__(io.FileIO(path))
        self._tally = tally

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self._tally.add(len(found))
        return found


class _told:  # noqa: N801  used as a function
    """Runs a change of the hub; whatever goes wrong leaves as a sentence about writing, not about reading."""

    def __init__(self, repo: str) -> None:
        self._repo = repo

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or not isinstance(error, Exception):
            return
        cause: BaseException = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        raise sentence_for(cause, self._repo) from None


def sentence_for(error: BaseException, repo: str) -> PlaygroundError | BaseException:
    """What to say of an error while something is sent."""
    from huggingface_hub import errors

    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 0
    if status in (401, 403):
        return GatedError(
            f"The hub does not let this token write to {repo}.",
            f"Use a token with write access, from {hub_client.endpoint()}/settings/tokens, and a name that begins with your own.",
        )
    if status == 404:
        return NotFoundError(
            f"The hub knows nobody called {repo.partition('/')[0]}.", "Begin the name with your own account's."
        )
    if isinstance(error, ValueError) and "README.md" in str(error):
        said = " ".join(str(error).split())[:300]
        return HubError(f"The hub does not take the card: {said}", "Mend the head of README.md.")
    if isinstance(error, HubError):
        return type(error)(error.message, AGAIN)
    if isinstance(error, OSError):
        return DataError(f"A file cannot be read ({error.strerror or error}).", "Check the folder.")
    if isinstance(error, PlaygroundError):
        return error
    return hub_client.sentence_for(error, repo) or error


def make(link: Link) -> Publishing:
    return Publishing(link)
