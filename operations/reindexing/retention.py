"""Old versions: which ones stay, and how others go."""

import logging
from collections.abc import Sequence
from typing import Any

from opensearch.errors import ForbiddenError
from opensearch.index_info import IndexInfo
from opensearch.indices import delete_index
from opensearch.translation import translated
from operations.experiments.store import ExperimentStore
from operations.reindexing.catalogue import (
    IndexVersion,
    current_physical,
    index_versions,
    version_infos,
)
from operations.reindexing.errors import ReindexError
from operations.reindexing.lock import JobLock
from operations.reindexing.patience import Patience
from operations.reindexing.state import BuildState
from operations.reindexing.swapping import other_aliases, unblock_writes
from operations.reindexing.target import CARRY_NOTE

logger = logging.getLogger(__name__)


def surplus_versions(versions: Sequence[IndexVersion], keep: int) -> list[IndexVersion]:
    """The old versions beyond the newest ``keep``: pure.

    Never among them: the current one, the one it was built from (a rollback returns there), and
    whatever is being built.
    """
    if any(v.state == "catching-up" for v in versions):
        return []  # a rollback still reads what it left
    sources = {v.source for v in versions if v.current}
    old = [v for v in versions if v.state == "old"]
    kept = [v for v in old if v.physical in sources]
    others = [v for v in reversed(old) if v.physical not in sources]
    return others[max(0, keep - len(kept)) :]


def prune_now(client: Any, name: str, keep: int) -> list[str]:
    """Like ``prune``, beside no other job.

    Raises:
        BusyError: A job works on the index.
    """
    with JobLock(client, name, "removal of old versions"):
        return prune(client, name, keep)


def prune(client: Any, name: str, keep: int) -> list[str]:
    """Delete old versions beyond the newest ``keep``.

    Those with an alias of their own stay, and the arms of a running experiment. Where the user may
    not read the experiments, everything stays.

    Returns:
        The physical indices that were deleted.

    Raises:
        IndexNotFoundError: There is no such index.
    """
    infos = version_infos(client, name)
    try:
        compared = arms(client, name)
    except ForbiddenError as error:
        logger.warning("no old version of %s is deleted: %s", name, error)
        return []
    deleted = []
    for version in surplus_versions(index_versions(client, name), keep):
        info = infos[version.physical]
        if version.physical not in compared and not other_aliases(client, info):
            delete_index(client, info)
            deleted.append(version.physical)
    return deleted


def arms(client: Any, name: str) -> set[str]:
    """Physical indices that a running experiment compares."""
    running = ExperimentStore(client).running(name)
    return {running.a.physical, running.b.physical} if running else set()


def drop(client: Any, name: str, physical: str) -> str:
    """Delete one version: a build that was given up, or an old one.

    Raises:
        ReindexError: It is the current one, an arm of a running experiment, no version of that
            name, or a job works on it.
    """
    with JobLock(client, name, "drop of a version"):
        infos = version_infos(client, name)
        if physical not in infos:
            msg = f"{physical!r} is no version of {name!r}; there are: {', '.join(infos)}."
            raise ReindexError(msg)
        current = current_physical(client, name)
        if physical == current:
            msg = (
                f"{physical!r} is the current version of {name!r}. Swap another one in first "
                f"(`tandem rollback {name} --to VERSION`)."
            )
            raise ReindexError(msg)
        if physical in arms(client, name):
            msg = (
                f"{physical!r} is an arm of a running experiment. End that first "
                f"(`tandem ab stop {name}`, or `tandem ab promote {name}`)."
            )
            raise ReindexError(msg)
        _refuse_while_carried(infos[current] if current else None, physical)
        state = BuildState.of(infos[physical])
        if state is not None and state.phase == "swapping" and state.source == current:
            # Killed in the short window before its swap, the job left the current index blocked.
            unblock_writes(client, infos[current], Patience())
        with translated(f"deleting {physical}"):
            delete_index(client, infos[physical])
        return physical


def _refuse_while_carried(current: IndexInfo | None, physical: str) -> None:
    carry = current.notes.get(CARRY_NOTE) if current else None
    if current and carry and carry["source"] == physical:
        msg = (
            f"A rollback of {current.name!r} still carries over what was written to {physical}. "
            f"Finish it (`tandem rollback {current.name}`), or give the rest up with "
            "--no-catch-up."
        )
        raise ReindexError(msg)
