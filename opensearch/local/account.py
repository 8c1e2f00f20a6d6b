"""Who the node runs as: OpenSearch refuses root."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from opensearch.errors import EngineError

ACCOUNT_VARIABLE = "TANDEM_ENGINE_USER"
_FALLBACK = "nobody"


@dataclass(frozen=True)
class Account:
    """An account of the system.

    Attributes:
        name: Its name, for messages.
        uid: User id.
        gid: Group id.
        switch: Whether the node's process must change to it.
    """

    name: str
    uid: int
    gid: int
    switch: bool


def node_account(wanted: str | None = None) -> Account:
    """The account for the node: the caller's own, or an unprivileged one where root calls.

    Args:
        wanted: Name or uid, when root calls. Default: `TANDEM_ENGINE_USER`, else `nobody`.

    Raises:
        EngineError: There is no such account, or it is root's.
    """
    if os.geteuid() != 0:
        return Account(str(os.geteuid()), os.geteuid(), os.getegid(), switch=False)
    name = wanted or os.environ.get(ACCOUNT_VARIABLE) or _FALLBACK
    try:
        entry = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    except KeyError as error:
        msg = (
            f"OpenSearch refuses to run as root, and there is no user {name!r} to run it as. "
            f"Name an unprivileged user in {ACCOUNT_VARIABLE}."
        )
        raise EngineError(msg) from error
    if entry.pw_uid == 0:
        msg = f"OpenSearch refuses to run as root: name another user in {ACCOUNT_VARIABLE}."
        raise EngineError(msg)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)


def can_reach(account: Account, path: Path) -> bool:
    """Whether the account may enter every existing folder on the way to `path`, and read it.

    Only mode bits are looked at. Where the caller itself is the account, the system decides
    when the files are opened.
    """
    if not account.switch:
        return True
    resolved = path.resolve()
    existing = [folder for folder in (resolved, *resolved.parents) if folder.exists()]
    return all(_enters(account, folder) for folder in existing)


def _enters(account: Account, path: Path) -> bool:
    info = path.stat()
    need = stat.S_IXOTH if path.is_dir() else stat.S_IROTH
    if info.st_uid == account.uid:
        need <<= 6
    elif info.st_gid == account.gid:
        need <<= 3
    return bool(info.st_mode & need)


def public_folder(path: Path) -> Path:
    """Make a folder that every account may enter, with the parents it lacks; returns it.

    Folders that exist already keep their modes.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    return path


def own_folder(account: Account, path: Path) -> Path:
    """Make a folder that belongs to the account, with all it holds; returns it."""
    public_folder(path)
    if account.switch and path.stat().st_uid != account.uid:
        for folder, _, names in os.walk(path):
            for entry in (folder, *(os.path.join(folder, name) for name in names)):  # noqa: PTH118
                os.chown(entry, account.uid, account.gid, follow_symlinks=False)
    return path
