"""Find a Java that fits: each OpenSearch version runs on some versions only."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from opensearch.errors import EngineError
from opensearch.local.account import Account, can_reach
from opensearch.local.distribution import Distribution

JVM_FOLDERS = (Path("/usr/lib/jvm"), Path("/usr/java"), Path("/opt/java"), Path("/opt/jdk"))
# Without the locale data no index can be allocated: the Thai analyser does not build.
NEEDED_MODULES = frozenset({"jdk.localedata", "jdk.incubator.vector"})


@dataclass(frozen=True)
class Java:
    """One Java on this machine.

    Attributes:
        home: Its folder.
        major: Its version (17, 21, 25).
        missing_modules: What it lacks of `NEEDED_MODULES`; empty where it does not say.
    """

    home: Path
    major: int
    missing_modules: frozenset[str] = frozenset()

    @property
    def executable(self) -> Path:
        """The launcher."""
        return self.home / "bin" / "java"


def choose_java(
    distribution: Distribution,
    account: Account,
    environment: Mapping[str, str] | None = None,
    folders: tuple[Path, ...] = JVM_FOLDERS,
) -> Java:
    """The first Java that runs this version: named ones, the path's, then the system's newest.

    Args:
        distribution: What shall run.
        account: Who must be able to start it.
        environment: Where the variables are looked up. Default: the process's.
        folders: Where systems keep their JVMs.

    Raises:
        EngineError: None fits; the message lists what was found and why it does not.
    """
    found = list(find_java(os.environ if environment is None else environment, folders))
    refused: list[str] = []
    for java in found:
        reason = _unfit(java, distribution, account)
        if reason is None:
            return java
        refused.append(f"{java.home} (Java {java.major}: {reason})")
    msg = (
        f"OpenSearch {distribution.version} needs Java {_wanted(distribution)}. "
        f"Found: {'; '.join(refused) or 'none'}. "
        "Install one (a full JDK) and set OPENSEARCH_JAVA_HOME to its folder."
    )
    raise EngineError(msg)


def find_java(environment: Mapping[str, str], folders: tuple[Path, ...]) -> Iterator[Java]:
    """Every Java, in the order of preference, none twice."""
    seen: set[Path] = set()
    for home in _homes(environment, folders):
        resolved = home.resolve()
        if resolved in seen or not (resolved / "bin" / "java").exists():
            continue
        seen.add(resolved)
        if java := inspect_java(resolved):
            yield java


def inspect_java(home: Path) -> Java | None:
    """Read a JVM folder's `release` file; where it has none, ask the launcher itself."""
    release = home / "release"
    text = release.read_text("utf-8", errors="replace") if release.is_file() else ""
    version = re.search(r'^JAVA_VERSION="?([^"\n]+)', text, re.MULTILINE)
    if version:
        modules = re.search(r'^MODULES="([^"]*)"', text, re.MULTILINE)
        listed = frozenset(modules.group(1).split()) if modules else NEEDED_MODULES
        return Java(home, major_version(version.group(1)), NEEDED_MODULES - listed)
    reported = _ask(home / "bin" / "java")
    return Java(home, major_version(reported)) if reported else None


def major_version(version: str) -> int:
    """`25.0.3` is 25, `1.8.0_292` is 8."""
    numbers = [int(number) for number in re.findall(r"\d+", version)]
    return numbers[1] if numbers[0] == 1 and len(numbers) > 1 else numbers[0]


def _homes(environment: Mapping[str, str], folders: tuple[Path, ...]) -> Iterator[Path]:
    for variable in ("OPENSEARCH_JAVA_HOME", "JAVA_HOME"):
        if value := environment.get(variable):
            yield Path(value)
    if launcher := shutil.which("java", path=environment.get("PATH", "")):
        yield Path(launcher).resolve().parent.parent
    installed = [home for folder in folders if folder.is_dir() for home in folder.iterdir()]
    javas = {home: inspect_java(home) for home in installed if (home / "bin" / "java").exists()}
    majors = {home: java.major for home, java in javas.items() if java}
    yield from sorted(majors, key=lambda home: (-majors[home], str(home)))


def _ask(launcher: Path) -> str | None:
    try:
        answer = subprocess.run(  # noqa: S603 - a Java on this machine
            [launcher, "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r'version "([^"]+)"', answer.stderr + answer.stdout)
    return version.group(1) if version else None


def _unfit(java: Java, distribution: Distribution, account: Account) -> str | None:
    oldest, newest = distribution.java
    if java.major < oldest:
        return "too old"
    if newest is not None and java.major > newest:
        return "too new"
    needed = java.missing_modules & _modules_needed(distribution)
    if needed:
        return f"lacks the module {', '.join(sorted(needed))}"
    if not can_reach(account, java.executable):
        return f"the user {account.name} cannot read it"
    return None


def _modules_needed(distribution: Distribution) -> frozenset[str]:
    flags = " ".join(distribution.jvm_options)
    return frozenset(name for name in NEEDED_MODULES if name == "jdk.localedata" or name in flags)


def _wanted(distribution: Distribution) -> str:
    oldest, newest = distribution.java
    return f"{oldest} or newer" if newest is None else f"{oldest} to {newest}"
