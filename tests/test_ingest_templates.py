"""Record templates."""

import re
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import IngestError
from ingest.templates import RecordTemplate, as_text, look_up

DOCS = Path(__file__).parent.parent / "docs" / "ingest.md"

RECORD: dict[str, Any] = {
    "name": "Steel, hot-rolled",
    "geography": {"name": "Republic of Korea", "code": "KR"},
    "time": {"from": 2018, "until": 2022},
    "technology": {"description": "Blast furnace", "tags": ["basic oxygen", "", "hot rolling"]},
    "names": [{"lang": "en", "#text": "Steel"}, {"lang": "ko", "#text": "철강"}],
    "common:name": "LCA name",
    "dotted.key": "wins",
    "dotted": {"key": "loses"},
    "Reference product (kg)": 1,
    "verified": True,
    "empty": "",
    "zero": 0,
}


def rendered(line: str) -> str:
    return RecordTemplate.from_dict({"text": [line]}).render(RECORD)[1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Made in {geography.name} ({geography.code})", "Made in Republic of Korea (KR)"),
        ("Valid {time.from} to {time.until}", "Valid 2018 to 2022"),
        ("By {technology.tags}", "By basic oxygen, hot rolling"),
        ("{names.#text} / {names.1.#text}", "Steel, 철강 / 철강"),
        ("{common:name}; {dotted.key}", "LCA name; wins"),
        ("{Reference product (kg)} kg", "1 kg"),
        ("{ name }", "Steel, hot-rolled"),
        ("{{literal}} {name}", "{literal} Steel, hot-rolled"),
        ("Verified: {verified}, zero: {zero}", "Verified: yes, zero: 0"),
        ("{geography}", "name: Republic of Korea; code: KR"),
        ("no field at all", "no field at all"),
        ("Left out: {absent}", ""),
        ("Left out: {empty}", ""),
        ("Left out: {time.from} to {time.absent}", ""),
        ("Left out: {names.7.#text}{name.deeper}{names.nothing}", ""),
    ],
)
def test_a_line_is_filled_in_or_left_out(line: str, expected: str) -> None:
    assert rendered(line) == expected


@pytest.mark.parametrize(
    "line",
    "{} {a..b} {.a} {name!r} {price:>10} {price:.2f} {a[0]} {name|upper} {%if} {x:}"
    " {{{ {a{b}}".split(),
)
def test_unknown_syntax_is_refused_with_its_place(line: str) -> None:
    with pytest.raises(IngestError, match=r"template: text line 2: un(known|balanced)"):
        RecordTemplate.from_dict({"text": ["fine", line]})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "text must be a list of lines"),
        ({"text": []}, "text must be a list of lines"),
        ({"text": [1]}, "text must be a list of lines"),
        ({"text": ["x"], "title": 1}, "title must be a string"),
        ({"text": ["x"], "body": "y"}, "unknown key body; allowed: title, text"),
        ({"text": ["x"], "title": "{"}, "template: title: unbalanced"),
    ],
)
def test_the_shape_of_a_template_is_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(IngestError, match=message):
        RecordTemplate.from_dict(values)


def test_a_title_without_its_field_is_empty() -> None:
    template = RecordTemplate.from_dict({"title": "{absent}", "text": "{name}"})
    assert template.render(RECORD) == ("", "Steel, hot-rolled")


def test_templates_are_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text('title = "{name}"\ntext = ["{geography.code}"]', encoding="utf-8")
    assert RecordTemplate.from_toml(path).render(RECORD) == ("Steel, hot-rolled", "KR")
    path.write_text("title = ", encoding="utf-8")
    with pytest.raises(IngestError, match=r"cannot read the template .*t\.toml"):
        RecordTemplate.from_toml(path)
    with pytest.raises(IngestError, match="cannot read the template"):
        RecordTemplate.from_toml(tmp_path / "absent.toml")


def test_the_example_of_the_guide_renders_as_the_guide_says(tmp_path: Path) -> None:
    guide = DOCS.read_text(encoding="utf-8")
    blocks = dict(re.findall(r"<!-- example: (\w+) -->\n```\w*\n(.*?)```", guide, re.DOTALL))
    path = tmp_path / "process.toml"
    path.write_text(blocks["template"], encoding="utf-8")
    import json

    title, text = RecordTemplate.from_toml(path).render(json.loads(blocks["record"]))
    assert f"{title}\n{text}\n" == blocks["passage"]


def test_looking_up_is_safe_on_anything() -> None:
    records: list[Any] = [None, 1, "text", [], {}, [[{}]]]
    for record in records:
        assert look_up(record, "a.b.0.c") is None


def test_values_in_words() -> None:
    assert as_text([1, None, ["a", False]]) == "1, a, no"
    assert as_text({"a": None, "b": {"c": 1}}) == "b: c: 1"
