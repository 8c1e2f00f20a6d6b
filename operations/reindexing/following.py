"""A searcher that follows the alias: the right encoders for whatever version is current."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from encoders.errors import EncoderError
from encoders.options import LoadOptions
from opensearch.errors import IndexNotFoundError, SearchBackendError
from opensearch.hits import SearchResult
from opensearch.index_info import IndexInfo, read_index_info
from opensearch.plan import QueryEncoders, SearchRequest
from opensearch.search import Searcher
from opensearch.workflows.query_encoders import default_fusion, load_query_encoders

logger = logging.getLogger(__name__)

TTL_S = 1.0
# The current version and the one before it: a rollback finds its encoders loaded.
KEPT = 2

LoadEncoders = Callable[[Any, IndexInfo, LoadOptions], QueryEncoders]


@dataclass(frozen=True, slots=True)
class Followed:
    """One version, ready to be searched.

    Attributes:
        info: Its identity; ``info.physical`` says which version answered.
        searcher: Searches it with its own encoders.
    """

    info: IndexInfo
    searcher: Searcher


class FollowingSearcher:
    """Searches a logical index across swaps; safe to use from several threads.

    The alias is looked up at most once per ``ttl_s``. While the encoders of a new version are being
    loaded, queries go on to the version before it, which stays complete and searchable.
    """

    def __init__(
        self,
        client: Any,
        name: str,
        options: LoadOptions | None = None,
        *,
        ttl_s: float = TTL_S,
        load: LoadEncoders = load_query_encoders,
    ) -> None:
        """Prepare to search; the first query, or ``current()``, loads the encoders.

        Args:
            client: The client.
            name: Logical name.
            options: How models are loaded.
            ttl_s: For how long the alias is taken to stand where it stood.
            load: What loads the encoders of a version.
        """
        self._client = client
        self._name = name
        self._options = options or LoadOptions()
        self._ttl_s = ttl_s
        self._load = load
        self._loading = threading.Lock()
        self._known: dict[str, Followed] = {}
        self._current: Followed | None = None
        self._looked_at = -ttl_s

    def search(self, request: SearchRequest) -> SearchResult:
        """Answer one query from the current version, with the fusion the request names.

        Raises:
            SearchBackendError: OpenSearch failed.
        """
        return self.answer(lambda _: request)[0]

    def search_tuned(self, request: SearchRequest) -> SearchResult:
        """Answer one query from the current version, fused as that version was tuned."""
        return self.answer(lambda info: replace(request, fusion=default_fusion(info)))[0]

    def answer(
        self, request_for: Callable[[IndexInfo], SearchRequest]
    ) -> tuple[SearchResult, IndexInfo]:
        """Answer a query that may depend on the version.

        Args:
            request_for: Makes the request for a version; called again if that version is gone.

        Returns:
            The answer, and which version gave it.
        """
        followed = self.current()
        try:
            return followed.searcher.search(request_for(followed.info)), followed.info
        except IndexNotFoundError:
            # Deleted between two looks at the alias, which stands somewhere else by now.
            followed = self._follow()
            return followed.searcher.search(request_for(followed.info)), followed.info

    def current(self) -> Followed:
        """The version to search now."""
        followed = self._current
        if followed is not None and time.monotonic() - self._looked_at < self._ttl_s:
            return followed
        if followed is None:
            return self._follow()
        # One thread looks; the others go on with what they have.
        if self._loading.acquire(blocking=False):
            return self._look_again(followed)
        return followed

    def _follow(self) -> Followed:
        with self._loading:
            return self._look()

    def _look_again(self, followed: Followed) -> Followed:
        """Look up the alias; a version that is not loaded yet is loaded beside the queries."""
        handed_over = False
        try:
            info = read_index_info(self._client, self._name)
            if self._knows(info):
                return self._take(info)
            loader = threading.Thread(target=self._load_quietly, args=(followed,), daemon=True)
            loader.start()
            handed_over = True
        except SearchBackendError as error:
            self._stay(followed, error)
        finally:
            if not handed_over:
                self._loading.release()
        return followed

    def _load_quietly(self, followed: Followed) -> None:
        try:
            self._look()
        except (SearchBackendError, EncoderError) as error:
            self._stay(followed, error)
        finally:
            self._loading.release()

    def _stay(self, followed: Followed, error: Exception) -> None:
        logger.warning("%s Staying with %s.", error, followed.info.physical)
        self._looked_at = time.monotonic()

    def _look(self) -> Followed:
        return self._take(read_index_info(self._client, self._name))

    def _knows(self, info: IndexInfo) -> bool:
        found = self._known.get(info.physical)
        return found is not None and found.info.notes.get("created") == info.notes.get("created")

    def _take(self, info: IndexInfo) -> Followed:
        found = self._known.get(info.physical)
        if found is None or not self._knows(info):
            encoders = self._load(self._client, info, self._options)
            found = Followed(info, Searcher(self._client, info, encoders))
        elif found.info != info:  # a note changed, such as the tuned fusion
            found = Followed(info, found.searcher)
        self._known.pop(info.physical, None)
        self._known[info.physical] = found
        for physical in list(self._known)[:-KEPT]:
            del self._known[physical]
        self._current = found
        self._looked_at = time.monotonic()
        return found
