"""One job per logical index: a document with a lease, renewed while the job lives.

Who holds it is decided by the server's sequence numbers alone; clocks only say when a lease of a
job that nobody has heard of may be taken over.
"""

import logging
import os
import platform
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from opensearch.errors import SearchBackendError
from opensearch.indices import index_exists
from opensearch.translation import translated
from operations.reindexing.errors import BusyError
from operations.reindexing.patience import Patience

logger = logging.getLogger(__name__)

LOCK_INDEX = "tandem-locks"
LEASE_S = 60.0
_RENEWED_EVERY_S = 10.0
_BODY = {
    "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
    "mappings": {"dynamic": False, "properties": {"owner": {"type": "keyword"}}},
}


class JobLock:
    """Holds a logical index for one job; use it in a ``with`` block."""

    def __init__(self, client: Any, name: str, what: str, patience: Patience | None = None) -> None:
        """Prepare to lock.

        Args:
            client: The client.
            name: Logical name of the index.
            what: What the job does, for whoever is refused: ``"re-index"``.
            patience: How long a cluster that is away is waited for.
        """
        self._client = client
        self._name = name
        self._what = what
        self._patience = patience or Patience()
        self._owner = uuid.uuid4().hex
        self._place: dict[str, int] = {}
        self._turn = threading.Lock()
        self._over = threading.Event()
        self._lost = False
        self._renewer = threading.Thread(target=self._renew_now_and_then, daemon=True)

    def __enter__(self) -> Self:
        self._patience(f"locking {self._name}", self._acquire)
        self._renewer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._renewer.join()
        if not self._lost:
            # What cannot be released now ends with its lease, or with this process.
            with suppress(SearchBackendError), translated(f"unlocking {self._name}"):
                params = {**self._place, "ignore": (404, 409)}
                self._client.delete(index=LOCK_INDEX, id=self._name, params=params)

    def check(self) -> None:
        """Make sure that the lock is still held.

        Raises:
            BusyError: Another job has taken it over.
        """
        if self._lost:
            msg = (
                f"Another job took {self._name} over, because this one was not heard of for "
                f"{LEASE_S:.0f} s. Let that one finish."
            )
            raise BusyError(msg)

    def renew(self) -> None:
        """Renew the lease now, waiting for a cluster that is away.

        Raises:
            BusyError: Another job has taken it over.
        """
        self._patience(f"keeping {self._name} locked", self._renew)
        self.check()

    def _acquire(self) -> None:
        if not index_exists(self._client, LOCK_INDEX):
            self._client.indices.create(index=LOCK_INDEX, body=_BODY, params={"ignore": 400})
        if self._write({"op_type": "create"}):
            return
        found = self._client.get(index=LOCK_INDEX, id=self._name, params={"ignore": 404})
        held = found.get("_source", {})
        if held.get("owner") == self._owner:  # written by a request whose answer was lost
            self._place = _place_of(found)
            return
        if found.get("found") and not is_over(held):
            raise BusyError(_busy_message(self._name, held))
        place = _place_of(found) if found.get("found") else {"op_type": "create"}
        if not self._write(place):
            raise BusyError(_busy_message(self._name, {}))

    def _write(self, condition: dict[str, Any]) -> bool:
        """Write the lease if the condition holds; whether it did."""
        body = {
            "owner": self._owner,
            "what": self._what,
            "process": this_process(),
            "host": platform.node(),
            "expires": time.time() + LEASE_S,
        }
        params = {**condition, "ignore": 409}
        answer = self._client.index(index=LOCK_INDEX, id=self._name, body=body, params=params)
        if answer.get("result") not in ("created", "updated"):
            return False
        self._place = _place_of(answer)
        return True

    def _renew(self) -> None:
        with self._turn:
            if self._lost or self._write(self._place):
                return
            found = self._client.get(index=LOCK_INDEX, id=self._name, params={"ignore": 404})
            if found.get("_source", {}).get("owner") == self._owner:
                self._place = _place_of(found)
            else:
                self._lost = True

    def _renew_now_and_then(self) -> None:
        while not self._over.wait(_RENEWED_EVERY_S):
            try:
                with translated(f"keeping {self._name} locked"):
                    self._renew()
            except SearchBackendError as error:
                logger.info("%s", error)


def _place_of(answer: dict[str, Any]) -> dict[str, int]:
    return {"if_seq_no": answer["_seq_no"], "if_primary_term": answer["_primary_term"]}


def is_over(held: dict[str, Any]) -> bool:
    """Whether a lease has run out, or its process is known to be dead."""
    if time.time() > float(held.get("expires", 0)):
        return True
    process, here = held.get("process") or {}, this_process()
    same_machine = here["machine"] and process.get("machine") == here["machine"]
    return bool(same_machine) and not _is_alive(process)


def this_process() -> dict[str, Any]:
    """Machine, id and start of this process, as others of the machine see them."""
    import psutil

    return {
        "machine": _machine(),
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
    }


def _machine() -> str | None:
    """What processes that see each other's ids share; ``None`` where nothing tells."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _is_alive(process: dict[str, Any]) -> bool:
    import psutil

    try:
        found = psutil.Process(int(process["pid"]))
        same = abs(found.create_time() - float(process["started"])) < 1.0
        return same and bool(found.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _busy_message(name: str, held: dict[str, Any]) -> str:
    where = f", process {held['process']['pid']} on {held['host']}" if held else ""
    return (
        f"Another job works on {name!r} ({held.get('what', 're-index')}{where}). Wait until it is "
        f"done; if it was killed on another machine, its lock ends {LEASE_S:.0f} s after its last "
        "sign of life."
    )
