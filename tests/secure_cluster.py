"""A secured cluster with the users of the documentation, for the live tests."""

import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt

from opensearch.capabilities import detect
from opensearch.client import connect
from opensearch.errors import SearchBackendError
from opensearch.local.state import EngineState, Login
from opensearch.settings import ClusterSettings

VERSION = "2.19.1"
ROLES = Path(__file__).parent.parent / "docs" / "roles"
# The files name the indices of the documentation; tests name theirs `test-…`.
DOCUMENTED, TESTED = "docs*", "test-*"
# A second administrator, as quick to log in as the other users.
ADMIN = "test-admin"
_SECURITY = "/_plugins/_security/api"


def read_role(name: str) -> dict[str, Any]:
    """A role of the documentation, for the indices of the tests."""
    text = (ROLES / f"{name}.json").read_text("utf-8")
    role: dict[str, Any] = json.loads(text.replace(f'"{DOCUMENTED}"', f'"{TESTED}"'))
    return role


@dataclass(frozen=True)
class SecureCluster:
    """A running cluster and its users.

    Attributes:
        engine: What runs.
        passwords: Password of each user.
        start: What clients were told while it started, if it was started here.
    """

    engine: EngineState
    passwords: Mapping[str, str]
    start: "StartWatch | None" = None

    @property
    def login(self) -> Login:
        """The administrator's login."""
        assert self.engine.login is not None
        return self.engine.login

    def values(self, user: str, **changes: Any) -> dict[str, Any]:
        """Settings for one user, as ``ClusterSettings`` and the environment name them."""
        access = {"url": self.engine.url, "user": user, "password": self.passwords[user]}
        return {**access, "ca_file": self.login.ca_file, **changes}

    def client(self, user: str, **changes: Any) -> Any:
        """A client that is logged in."""
        values = {k: v for k, v in self.values(user, **changes).items() if v is not None}
        return connect(ClusterSettings(**values))

    def environment(self, user: str) -> dict[str, str]:
        """Variables that make every command this user's."""
        values = self.values(user)
        return {f"TANDEM_OPENSEARCH_{key.upper()}": str(value) for key, value in values.items()}

    def write_role(self, name: str, body: Mapping[str, Any]) -> None:
        """Create or replace a role."""
        self._put(f"roles/{name}", body)

    def write_user(self, name: str, body: Mapping[str, Any]) -> None:
        """Create or replace a user, with the password that ``passwords`` has."""
        # Four rounds: users are forgotten with every change of a role, and checked anew.
        hashed = bcrypt.hashpw(self.passwords[name].encode(), bcrypt.gensalt(4)).decode()
        self._put(f"internalusers/{name}", {**body, "hash": hashed})

    def _put(self, path: str, body: Mapping[str, Any]) -> None:
        user = self.login.user if path == f"internalusers/{ADMIN}" else ADMIN
        self.client(user).transport.perform_request("PUT", f"{_SECURITY}/{path}", body=body)


class StartWatch:
    """Two clients that ask a node from before it listens until its security plugin serves.

    Attributes:
        impatient: What one was told that waits for nothing, while the plugin was starting.
        patient: What the other was told, whose password is wrong.
    """

    def __init__(self, port: int) -> None:
        self._url = f"https://127.0.0.1:{port}"
        self._over = threading.Event()
        self.impatient = ""
        self.patient = ""
        self._threads = [
            threading.Thread(target=watch, daemon=True)
            for watch in (self._watch_impatiently, self._watch_patiently)
        ]

    def __enter__(self) -> "StartWatch":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _watch_impatiently(self) -> None:
        for message in self._messages(startup_wait_s=0):
            if "security plugin" in message:
                self.impatient = message
                return

    def _watch_patiently(self) -> None:
        for message in self._messages(startup_wait_s=120):
            if "hung up" not in message and "cannot be reached" not in message:
                self.patient = message
                return

    def _messages(self, **changes: Any) -> Iterator[str]:
        access = {"url": self._url, "user": "nobody", "password": "wrong"}
        # The authority is made while the engine starts.
        values = {**access, "verify_certs": False, "max_retries": 0, **changes}
        client = connect(ClusterSettings(**values))
        while not self._over.wait(0.1):
            try:
                detect(client)
            except SearchBackendError as error:
                yield str(error)


def with_users(engine: EngineState, start: StartWatch | None = None) -> SecureCluster:
    """Create the documented roles, each with a user of the same name."""
    assert engine.login is not None
    names = sorted(path.stem for path in ROLES.glob("*.json"))
    passwords = {name: f"{secrets.token_urlsafe(18)}-aA1" for name in (*names, ADMIN)}
    login = {engine.login.user: engine.login.password}
    cluster = SecureCluster(engine, {**passwords, **login}, start)
    cluster.write_user(ADMIN, {"opendistro_security_roles": ["all_access"]})
    for name in names:
        cluster.write_role(name, read_role(name))
        cluster.write_user(name, {"opendistro_security_roles": [name]})
    return cluster
