"""Fetch artifacts: several at a time, resumed after a break, refused when their hash is wrong."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from opensearch.errors import EngineError
from opensearch.local.locks import Artifact
from opensearch.local.progress import EngineProgress, Silent

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

REPOSITORY_VARIABLE = "TANDEM_MAVEN_REPOSITORY"
_TRANSIENT = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


@dataclass(frozen=True)
class DownloadOptions:
    """How to fetch.

    Attributes:
        repository: Root address of a Maven repository.
        workers: Files fetched at the same time.
        attempts: Tries per file before giving up.
        first_pause_s: Pause after the first failure; doubled (with jitter) after each further one.
        timeout_s: Longest silence of the server.
    """

    repository: str
    workers: int = 4
    attempts: int = 6
    first_pause_s: float = 0.5
    timeout_s: float = 60.0


class _BrokenDownload(Exception):
    """This attempt failed; another may succeed."""


def repository_url() -> str:
    """`TANDEM_MAVEN_REPOSITORY`, else the repository that the library `jgo` uses."""
    if chosen := os.environ.get(REPOSITORY_VARIABLE):
        return chosen.rstrip("/")
    from jgo.constants import MAVEN_CENTRAL_URL

    return str(MAVEN_CENTRAL_URL).rstrip("/")


def fetch_all(
    artifacts: Sequence[Artifact],
    folder: Path,
    *,
    options: DownloadOptions,
    progress: EngineProgress | None = None,
    size: int = 0,
) -> None:
    """Have every artifact in `folder`, verified. What is already there is not fetched again.

    Args:
        artifacts: What to fetch.
        folder: Where to; a file's place in it is `Artifact.path`.
        options: How to fetch.
        progress: Told of every file and byte.
        size: About how many bytes all artifacts have, for the progress.

    Raises:
        EngineError: A file cannot be had, or is not the one that the lock file means.
    """
    missing = [artifact for artifact in artifacts if not (folder / artifact.path).exists()]
    if not missing:
        return
    share = round(size * len(missing) / len(artifacts)) if len(missing) < len(artifacts) else size
    told = _Told(progress or Silent())
    told.progress.downloads(len(missing), share)
    import httpx

    timeout = httpx.Timeout(options.timeout_s, connect=20.0)
    with (
        httpx.Client(timeout=timeout, follow_redirects=True) as client,
        ThreadPoolExecutor(options.workers) as pool,
    ):
        fetcher = _Fetcher(client, folder, options, told)
        futures = [pool.submit(fetcher.fetch, artifact) for artifact in missing]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            # The first failure ends the rest too; what they have so far is kept for the next time.
            fetcher.stop.set()
            pool.shutdown(cancel_futures=True)
            raise


class _Told:
    """Makes a progress safe to call from several threads."""

    def __init__(self, progress: EngineProgress) -> None:
        self.progress = progress
        self._lock = threading.Lock()

    def received(self, size: int) -> None:
        with self._lock:
            self.progress.received(size)

    def file_done(self, name: str) -> None:
        with self._lock:
            self.progress.file_done(name)


class _Fetcher:
    """Fetches single files into one folder."""

    def __init__(
        self, client: httpx.Client, folder: Path, options: DownloadOptions, told: _Told
    ) -> None:
        self.stop = threading.Event()
        self._client = client
        self._folder = folder
        self._options = options
        self._told = told

    def fetch(self, artifact: Artifact) -> None:
        """Have one verified file, or raise."""
        target = self._folder / artifact.path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        resumed = self._complete(artifact, part)
        digest = _sha256(part)
        if digest != artifact.sha256 and resumed:
            logger.warning("%s resumed badly; fetching all of it again", artifact.file_name)
            self._discard(part)
            self._complete(artifact, part)
            digest = _sha256(part)
        if digest != artifact.sha256:
            self._discard(part)
            raise EngineError(_wrong_hash(artifact, digest, self._options.repository))
        # The node may run as another user than the one who fetched.
        part.chmod(0o644)
        part.replace(target)
        self._told.file_done(artifact.file_name)

    def _complete(self, artifact: Artifact, part: Path) -> bool:
        """Fill `part`, with retries; true when any of it came from an earlier attempt."""
        url = f"{self._options.repository}/{artifact.path}"
        resumed = False
        for attempt in range(1, self._options.attempts + 1):
            resumed = resumed or (part.exists() and part.stat().st_size > 0)
            try:
                self._attempt(url, part)
            except _BrokenDownload as error:
                self._pause(attempt, url, error)
            else:
                return resumed
        raise AssertionError  # _pause raised after the last attempt

    def _attempt(self, url: str, part: Path) -> None:
        import httpx

        begin = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={begin}-"} if begin else {}
        try:
            with self._client.stream("GET", url, headers=headers) as response:
                self._take(response, part, begin)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _BrokenDownload(str(error) or type(error).__name__) from error

    def _take(self, response: httpx.Response, part: Path, begin: int) -> None:
        """Write one answer's body, if it is one."""
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self._discard(part)
            msg = "the server has fewer bytes than we do"
            raise _BrokenDownload(msg)
        _refuse_status(response)
        continues = response.status_code == HTTPStatus.PARTIAL_CONTENT
        if continues and _range_begin(response) != begin:
            self._discard(part)
            msg = "the server sent another part of the file than asked for"
            raise _BrokenDownload(msg)
        if begin and not continues:
            self._told.received(-begin)
        elif begin:
            logger.info("resuming %s at byte %d", response.url, begin)
        with part.open("ab" if continues else "wb") as out:
            self._copy(response, out)

    def _copy(self, response: httpx.Response, out: BinaryIO) -> None:
        for chunk in response.iter_raw():
            if self.stop.is_set():
                msg = "The download was cancelled."
                raise EngineError(msg)
            out.write(chunk)
            self._told.received(len(chunk))

    def _pause(self, attempt: int, url: str, error: _BrokenDownload) -> None:
        if attempt == self._options.attempts:
            msg = (
                f"Cannot fetch {url}: {error} (tried {attempt} times). What has arrived is kept; "
                f"run the command again to go on. {REPOSITORY_VARIABLE} names another repository."
            )
            raise EngineError(msg) from error
        pause = self._options.first_pause_s * 2 ** (attempt - 1)
        pause *= 1 + random.random()  # noqa: S311 - jitter, not a secret
        logger.info("%s: %s; next try in %.1f s", url, error, pause)
        self.stop.wait(pause)

    def _discard(self, part: Path) -> None:
        if part.exists():
            self._told.received(-part.stat().st_size)
            part.unlink()


def _refuse_status(response: httpx.Response) -> None:
    if response.status_code in _TRANSIENT:
        msg = f"the server answered {response.status_code}"
        raise _BrokenDownload(msg)
    if not response.is_success:
        msg = (
            f"Cannot fetch {response.url}: the server answered {response.status_code}. "
            f"If {REPOSITORY_VARIABLE} is set, it must be the root of a complete Maven repository."
        )
        raise EngineError(msg)


def _range_begin(response: httpx.Response) -> int:
    """First byte of a partial answer; -1 where it does not say."""
    text = response.headers.get("content-range", "").removeprefix("bytes ")
    first = text.partition("-")[0]
    return int(first) if first.isdigit() else -1


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _wrong_hash(artifact: Artifact, digest: str, repository: str) -> str:
    return (
        f"{artifact.coordinates} from {repository} is not the file that the lock names "
        f"(SHA-256 {digest}, expected {artifact.sha256}). It was removed. Try again; if it stays "
        f"so, the repository is damaged or altered: name another in {REPOSITORY_VARIABLE}."
    )
