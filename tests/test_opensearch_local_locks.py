import pytest

from opensearch.errors import EngineError
from opensearch.local.distribution import distribution
from opensearch.local.locks import Artifact, known_versions, parse_lock, read_lock

DIGEST = "ab" * 32


def test_a_line_becomes_an_artifact() -> None:
    (artifact,) = parse_lock(f"# note\n\n{DIGEST}  org.a.b:core:1.2:jar  lib\n", "x.lock")
    assert artifact == Artifact("org.a.b", "core", "1.2", "jar", "", DIGEST, "lib")
    assert str(artifact.path) == "org/a/b/core/1.2/core-1.2.jar"
    assert artifact.coordinates == "org.a.b:core:1.2:jar"


def test_a_classifier_is_in_the_file_name() -> None:
    line = f"{DIGEST}  g:n:1:jar:linux-x86_64  plugins/opensearch-ml + data cache"
    (artifact,) = parse_lock(line, "x.lock")
    assert artifact.file_name == "n-1-linux-x86_64.jar"
    assert artifact.coordinates == "g:n:1:jar:linux-x86_64"


@pytest.mark.parametrize(
    "line",
    [
        f"{DIGEST[:-1]}  g:n:1:jar  lib",
        f"{DIGEST}  g:n:1  lib",
        f"{DIGEST}  g:n:1:jar",
        f"{DIGEST}  g:n:1:jar  elsewhere",
        f"{DIGEST}  g:n:1:jar  modules/../lib",
        f"{DIGEST}  g:..:1:jar  lib",
        f"{DIGEST}  g:n/../../x:1:jar  lib",
    ],
)
def test_a_malformed_line_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(EngineError, match=r"x\.lock, line 2"):
        parse_lock(f"# first\n{line}\n", "x.lock")


def test_two_lines_for_one_file_are_refused() -> None:
    line = f"{DIGEST}  g:n:1:jar  lib\n"
    with pytest.raises(EngineError, match="listed twice"):
        parse_lock(line * 2, "x.lock")


@pytest.mark.parametrize("version", known_versions())
def test_every_lock_file_fits_its_distribution(version: str) -> None:
    artifacts = read_lock(version)
    modules = {a.place.removeprefix("modules/") for a in artifacts if "modules/" in a.place}
    assert modules == set(distribution(version).modules)
    names = {artifact.name for artifact in artifacts}
    assert {"opensearch", "log4j-core", "opensearch-knn", "opensearch-ml-plugin"} <= names
    assert distribution(version).has_security == ("opensearch-security" in names)


def test_an_unknown_version_names_the_known_ones() -> None:
    with pytest.raises(EngineError, match=r"2\.19\.1, 3\.6\.0"):
        read_lock("9.9.9")
    with pytest.raises(EngineError, match=r"3\.6\.0"):
        distribution("9.9.9")
