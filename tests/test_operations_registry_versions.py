import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.registry.errors import RegistryError
from operations.registry.versions import PARTS, Version, is_version

numbers = st.integers(0, 999_999_999)
versions = st.builds(Version, numbers, numbers, numbers)


@given(versions)
def test_a_version_reads_back_what_it_writes(version):
    assert Version.parse(str(version)) == version
    assert is_version(str(version))


@given(versions, st.sampled_from(PARTS))
def test_a_raised_version_is_higher_and_ends_in_zeros(version, part):
    raised = version.bump(part)
    assert raised > version
    place = PARTS.index(part)
    before = [version.major, version.minor, version.patch]
    after = [raised.major, raised.minor, raised.patch]
    assert after == [*before[:place], before[place] + 1, *[0] * (2 - place)]


@given(st.lists(versions, min_size=2))
def test_versions_sort_by_number_and_not_by_text(found):
    expected = sorted(found, key=lambda v: (v.major, v.minor, v.patch))
    assert sorted(found) == expected


@given(st.text())
def test_anything_else_is_refused(text):
    if not is_version(text):
        with pytest.raises(RegistryError, match="MAJOR"):
            Version.parse(text)


@pytest.mark.parametrize("text", ["1.2", "v1.2.3", "01.2.3", "1.2.3-rc1", "1.2.3\n", "", "latest"])
def test_near_misses_are_refused(text):
    with pytest.raises(RegistryError):
        Version.parse(text)


def test_an_unknown_part_is_refused():
    with pytest.raises(RegistryError, match="patch"):
        Version(1, 0, 0).bump("build")
