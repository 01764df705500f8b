"""The way to the hub: huggingface_hub prepared for our use, and every way it can fail turned into a sentence.

The library's client waits for ever and asks six times before it says that nobody answers; ours has time limits and asks once,
so that "offline" is said at once (a download has its own patience, in `fetch`). Knows nothing of models.
"""

from __future__ import annotations

import importlib
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from playground.errors import GatedError, HubError, NotFoundError, OfflineError, PlaygroundError
from playground.models import token as tokens

CONNECT_S, READ_S = 10.0, 20.0

_SETTINGS = {
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_SYMLINKS_WARNING": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
}


@cache
def library() -> Any:
    """The module huggingface_hub, imported now, with our client in it."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    module = importlib.import_module("huggingface_hub")
    module.set_client_factory(_client_factory(module.get_session().event_hooks))
    module.utils.logging.set_verbosity_error()
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs whole addresses, and those of files carry signatures
    return module


def utils() -> Any:
    """The module huggingface_hub.utils (it names its contents lazily, which type checkers do not see)."""
    return library().utils


def endpoint() -> str:
    """The hub's address without a slash at its end (`HF_ENDPOINT`, else huggingface.co)."""
    return (os.environ.get("HF_ENDPOINT") or str(library().constants.ENDPOINT)).rstrip("/")


def login_token() -> str | None:
    """The token of an existing Hugging Face login, if there is one."""
    library()
    with suppress(Exception):
        from huggingface_hub import get_token

        return get_token()
    return None


def headers(token: str | None) -> dict[str, str]:
    """Request headers with this token, or with none."""
    return dict(utils().build_hf_headers(token=token or False, library_name="playground"))


@contextmanager
def told(repo: str = "", path: str = "") -> Iterator[None]:
    """Runs a question to the hub; whatever goes wrong leaves as a PlaygroundError. `repo` and `path` are named in it."""
    try:
        yield
    except PlaygroundError:
        raise
    except Exception as error:
        sentence = sentence_for(error, repo, path)
        if sentence is None:
            raise
        raise sentence from None  # the chain below it may quote headers


def sentence_for(error: BaseException, repo: str = "", path: str = "") -> PlaygroundError | None:
    """The error to tell for an exception of huggingface_hub or its HTTP client; None for one that is not theirs."""
    import httpx2
    from huggingface_hub import errors

    thing = f"{path} of {repo}" if path and repo else repo or "that"
    if isinstance(error, errors.GatedRepoError):
        return gated(repo)
    if isinstance(error, errors.RepositoryNotFoundError):
        return NotFoundError(
            f"The hub has no model called {repo or 'that'}, or it is private.",
            "Check the name; a private one needs your token.",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return NotFoundError(f"{repo} has no such revision.", "Leave the revision out to get the newest.")
    if isinstance(error, errors.LocalEntryNotFoundError):
        return OfflineError("The hub cannot be reached, and the file is not on this machine.", "Check the connection.")
    if isinstance(error, errors.EntryNotFoundError):
        return NotFoundError(f"{repo} has no file called {path}.", "See its files with: playground models show " + repo)
    if isinstance(error, errors.DisabledRepoError):
        return HubError(f"The hub has switched {repo} off.", "Choose another model.")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return OfflineError("The hub is not asked, because HF_HUB_OFFLINE is set.", "Unset it to go online.")
    if isinstance(error, errors.HFValidationError):
        return NotFoundError(f"'{repo}' cannot be the name of a model on the hub.", "Write it as owner/name.")
    if isinstance(error, errors.HfHubHTTPError):
        return status_sentence(error.response.status_code, repo, path)
    if isinstance(error, httpx2.TransportError):
        return unreachable(error)
    if isinstance(
        error, (errors.FileMetadataError, ValueError, KeyError, TypeError, AttributeError, httpx2.HTTPError, httpx2.InvalidURL)
    ):
        return nonsense(thing)
    return None


def gated(repo: str) -> GatedError:
    return GatedError(
        f"{repo} is gated: its authors ask for a login and an agreement first.",
        f"Accept the terms at {endpoint()}/{repo}, then enter your Hugging Face token.",
    )


def nonsense(thing: str = "that") -> HubError:
    return HubError(
        f"The hub's answer about {thing} makes no sense (a web page, or nothing, instead of data).",
        "A proxy or a login page may stand in between; check the connection and try again.",
    )


def status_sentence(status: int, repo: str = "", path: str = "") -> PlaygroundError:
    """The error for an answer with a status that is none of success."""
    if status == 401:
        return GatedError(
            f"The hub asks for a login{' to ' + repo if repo else ''}, or does not accept the token.",
            "Enter your Hugging Face token, or a new one.",
        )
    if status == 403:
        return GatedError(
            f"The hub does not let this token see {repo or 'that'}.",
            f"Ask for access at {endpoint()}/{repo}, or use a token with more rights.",
        )
    if status == 404:
        return NotFoundError(f"The hub has no {path + ' in ' + repo if path else repo or 'such thing'}.", "Check the name.")
    if status == 429:
        return HubError("The hub asks for a pause: too many requests from here.", "Try again in a few minutes.")
    if status >= 500:
        return HubError(f"The hub has trouble of its own (it answered {status}).", "Try again later.")
    return HubError(f"The hub refused the request for {repo or 'that'} (it answered {status}).", "Try again later.")


def unreachable(error: BaseException) -> HubError:
    """The error for a line that could not be opened or broke."""
    import httpx2

    host = urlsplit(endpoint()).netloc
    again = "Check the connection and try again; models on this machine work without it."
    if isinstance(error, httpx2.TimeoutException):
        return OfflineError(f"{host} does not answer.", again)
    if isinstance(error, httpx2.ProxyError):
        return OfflineError("The proxy does not let us through to the hub.", "Check the proxy's settings.")
    if isinstance(error, httpx2.ConnectError):
        if any(isinstance(each, socket.gaierror) for each in _chain(error)):
            return OfflineError(f"There is no way to {host}: its name cannot be found.", again)
        if "CERTIFICATE" in str(error).upper():
            return HubError(f"{host} shows a certificate that cannot be trusted.", "A proxy may stand in between.")
        return OfflineError(f"There is no way to {host}: the connection is refused.", again)
    if isinstance(error, httpx2.UnsupportedProtocol):
        return HubError(f"HF_ENDPOINT is no address of a hub: {endpoint()[:80]}", "It begins with https://.")
    return HubError(f"{host} closed the connection without a whole answer.", "Try again.")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _client_factory(hooks: Any) -> Any:
    """Makes clients with the library's own hooks (request ids, its offline switch)."""
    import httpx2

    class Client(httpx2.Client):
        """Asks once, with time limits; a hub in trouble is an error now, not after half a minute of silent retries."""

        def send(self, request: Any, **more: Any) -> Any:
            limits = request.extensions.get("timeout") or {}
            ours = {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": READ_S}
            request.extensions["timeout"] = {name: limits.get(name) or ours[name] for name in ours}
            try:
                response = super().send(request, **more)
            except httpx2.TransportError as error:
                raise unreachable(error) from None
            if response.status_code >= 500 or response.status_code == 429:
                response.close()
                raise status_sentence(response.status_code)
            return response

    return lambda: Client(event_hooks=hooks, follow_redirects=True, timeout=None)


def scrubbed(text: str) -> str:
    """Words of the hub, fit to be shown: without tokens, on one line, not endless."""
    return tokens.scrub(" ".join(text.split()))[:300]
