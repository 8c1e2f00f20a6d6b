from pathlib import Path

import pytest

from opensearch.errors import EngineError
from opensearch.local.account import Account
from opensearch.local.distribution import distribution
from opensearch.local.java import choose_java, find_java, inspect_java, major_version

ALL = "java.base jdk.localedata jdk.incubator.vector"
SELF = Account("self", 0, 0, switch=False)
NEW, OLD = distribution("3.6.0"), distribution("2.19.1")


def jvm(folder: Path, version: str, modules: str | None = ALL) -> Path:
    (folder / "bin").mkdir(parents=True)
    launcher = folder / "bin" / "java"
    launcher.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    launcher.chmod(0o755)
    if modules is not None:
        (folder / "release").write_text(f'JAVA_VERSION="{version}"\nMODULES="{modules}"\n')
    return folder


@pytest.mark.parametrize(
    ("text", "major"), [("25.0.3", 25), ("17", 17), ("1.8.0_292", 8), ("21-ea", 21)]
)
def test_versions_are_read(text: str, major: int) -> None:
    assert major_version(text) == major


def test_the_variables_come_before_the_path_and_the_system(tmp_path: Path) -> None:
    own, home, path = (jvm(tmp_path / name, "21.0.1") for name in ("own", "home", "path"))
    system = tmp_path / "jvm"
    older, newer = jvm(system / "a", "21"), jvm(system / "b", "25")
    environment = {
        "OPENSEARCH_JAVA_HOME": str(own),
        "JAVA_HOME": str(home),
        "PATH": str(path / "bin"),
    }
    found = [java.home for java in find_java(environment, (system,))]
    assert found == [own, home, path, newer, older]
    assert choose_java(NEW, SELF, environment, (system,)).home == own


def test_each_version_gets_the_java_it_runs_on(tmp_path: Path) -> None:
    seventeen, newest = jvm(tmp_path / "17", "17.0.15"), jvm(tmp_path / "25", "25.0.3")
    environment = {"JAVA_HOME": str(seventeen), "PATH": ""}
    assert choose_java(NEW, SELF, environment, (tmp_path,)).home == newest
    assert choose_java(OLD, SELF, environment, (tmp_path,)).home == seventeen


def test_without_locale_data_it_does_not_serve(tmp_path: Path) -> None:
    jvm(tmp_path / "small", "25", "java.base jdk.incubator.vector")
    with pytest.raises(EngineError, match=r"small \(Java 25: lacks the module jdk\.localedata\)"):
        choose_java(NEW, SELF, {"PATH": ""}, (tmp_path,))


def test_the_message_lists_what_was_found_and_what_is_needed(tmp_path: Path) -> None:
    jvm(tmp_path / "old", "17.0.1")
    with pytest.raises(EngineError) as caught:
        choose_java(NEW, SELF, {"PATH": ""}, (tmp_path,))
    message = str(caught.value)
    assert "needs Java 21 or newer" in message
    assert "old (Java 17: too old)" in message
    assert "OPENSEARCH_JAVA_HOME" in message
    jvm(tmp_path / "new", "25")
    (tmp_path / "old" / "release").write_text('JAVA_VERSION="1.8.0_1"')
    with pytest.raises(EngineError, match=r"11 to 21.*Java 25: too new.*Java 8: too old"):
        choose_java(OLD, SELF, {"PATH": ""}, (tmp_path,))
    with pytest.raises(EngineError, match="Found: none"):
        choose_java(NEW, SELF, {"PATH": ""}, (tmp_path / "nothing",))


def test_a_java_the_node_cannot_read_is_passed_over(tmp_path: Path) -> None:
    hidden = jvm(tmp_path / "hidden", "25")
    hidden.chmod(0o700)
    other = Account("other", 1_999_999, 1_999_999, switch=True)
    with pytest.raises(EngineError, match="the user other cannot read it"):
        choose_java(NEW, other, {"PATH": ""}, (tmp_path,))


def test_without_a_release_file_the_launcher_is_asked(tmp_path: Path) -> None:
    java = inspect_java(jvm(tmp_path / "x", "22.0.2", modules=None))
    assert java is not None
    assert (java.major, java.missing_modules) == (22, frozenset())


def test_a_launcher_that_is_none_is_no_java(tmp_path: Path) -> None:
    home = jvm(tmp_path / "x", "22", modules=None)
    (home / "bin" / "java").write_text("#!/bin/sh\nexit 3\n")
    assert inspect_java(home) is None
