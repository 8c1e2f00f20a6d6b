"""Codes and amounts worth matching as written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch.exact_values import MAX_VALUES, exact_values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("error E-4012 shown", ["E-4012"], id="code"),
        pytest.param("error e-4012", ["E-4012"], id="upper-cased"),
        pytest.param("(form AB12-CD/3.4)", ["AB12-CD/3.4"], id="code with separators"),
        pytest.param("model A1", [], id="too short"),
        pytest.param("COVID-9", [], id="one digit"),
        pytest.param("a fee of 25,000 won", ["25000"], id="separators removed"),
        pytest.param("1,234,567.89", ["1234567.89"], id="decimals stay"),
        pytest.param("account 110234567890", ["110234567890"], id="long number"),
        pytest.param("call 123 or 42", [], id="short numbers"),
        pytest.param("since 2024 and 1999", [], id="years"),
        pytest.param("2100 or 1899", ["2100", "1899"], id="four digits that are no year"),
        pytest.param("오류 코드 E-4012가 나옵니다", ["E-4012"], id="particle after a code"),
        pytest.param("코드E-4012 안내", ["E-4012"], id="code glued to a word"),
        pytest.param("수수료는 25,000원입니다", ["25000"], id="won with separators"),
        pytest.param("수수료는 30000원입니다", ["30000"], id="won without separators"),
        pytest.param("2024년 개정", [], id="korean year"),
        pytest.param("約款12345号", ["12345"], id="between ideographs"),
        pytest.param("2,000 E-4012", ["E-4012", "2000"], id="codes first"),
        pytest.param("E-4012, e-4012; E-4012", ["E-4012"], id="distinct"),
        pytest.param("２５,０００원", ["25000"], id="full-width digits"),
        pytest.param("", [], id="empty"),
    ],
)
def test_values(text: str, values: list[str]) -> None:
    assert exact_values(text) == values


def test_no_more_values_than_a_query_may_hold() -> None:
    assert len(exact_values(" ".join(f"E-{n}" for n in range(1000, 2000)))) == MAX_VALUES


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("09aZ-_/.,원가 "))))
def test_any_text_gives_a_few_distinct_values(text: str) -> None:
    values = exact_values(text)
    assert len(values) == len(set(values)) <= MAX_VALUES
    assert all(sum(c.isdigit() for c in value) >= 2 for value in values)
    assert exact_values(text) == values


@pytest.mark.parametrize("piece", ["a1-", "1,", "1,000", "A", "9", "-", "가1", "a1/"])
def test_long_runs_take_no_time(piece: str) -> None:
    assert len(exact_values(piece * 20_000)) <= MAX_VALUES
