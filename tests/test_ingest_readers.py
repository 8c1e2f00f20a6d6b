"""Readers: every format, and every kind of bad input."""

import gzip
import io
import json
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import IngestError, SourceError
from ingest.readers.checks import MAX_ID_BYTES
from ingest.readers.estimate import estimate_records
from ingest.readers.lines import bounded_lines
from ingest.readers.open_source import detect_format, read_source
from ingest.readers.options import ReadOptions
from ingest.records import Document, Origin, Reject
from ingest.templates import RecordTemplate


def write(path: Path, *lines: str | bytes | dict[str, Any]) -> Path:
    """Write lines of text, raw bytes or records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        for line in lines:
            text = json.dumps(line, ensure_ascii=False) if isinstance(line, dict) else line
            stream.write((text if isinstance(text, bytes) else text.encode()) + b"\n")
    return path


def read(source: Path, options: ReadOptions | None = None) -> list[Document]:
    """Read a source that holds nothing bad."""
    documents = []
    for item in read_source(source, options):
        assert isinstance(item, Document), item
        documents.append(item)
    return documents


def rejects(source: Path, options: ReadOptions | None = None) -> list[Reject]:
    return [item for item in read_source(source, options) if isinstance(item, Reject)]


# JSON Lines


def test_jsonl_takes_the_usual_names_and_keeps_the_rest_as_metadata(tmp_path: Path) -> None:
    source = write(
        tmp_path / "c.jsonl",
        {"_id": "a", "title": "T", "text": "one", "year": 2024, "none": None},
        {"id": 7, "body": "two", "metadata": {"lang": "ko", "year": 1}, "year": 2},
        {"id": "c", "content": "three"},
    )
    first, second, third = read(source)
    assert first == Document("a", "one", "T", {"year": 2024}, Origin(str(source), 1))
    assert second == Document("7", "two", "", {"lang": "ko", "year": 2}, Origin(str(source), 2))
    assert (third.id, third.text, third.metadata) == ("c", "three", {})


def test_jsonl_passes_over_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    source = write(
        tmp_path / "c.jsonl",
        b"\xef\xbb\xbf" + b'{"id": "a", "text": "x"}\r',
        "  ",
        b'{"id":"b","text":"y"}',
    )
    assert [(d.id, d.origin.line) for d in read(source)] == [("a", 1), ("b", 3)]


def test_jsonl_gz_is_read(tmp_path: Path) -> None:
    source = tmp_path / "c.jsonl.gz"
    with gzip.open(source, "wb") as stream:
        stream.write(b'{"id": "a", "text": "x"}\n')
    assert [d.id for d in read(source)] == ["a"]


def test_field_names_can_be_given_and_reach_into_nested_records(tmp_path: Path) -> None:
    source = write(tmp_path / "c.jsonl", {"key": "a", "doc": {"en": "hello"}, "name": "N"})
    options = ReadOptions(fields={"id": "key", "text": "doc.en", "title": "name"})
    (document,) = read(source, options)
    assert (document.id, document.title, document.text) == ("a", "N", "hello")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{nonsense", "bad JSON"),
        ('{"id": "a", "text": "x"} trailing', "bad JSON"),
        ('{"id": "a", "text": "x", "n": NaN}', "bad JSON: NaN is not JSON"),
        ('{"id": "a", "text": "x", "n": 1e999}', "bad JSON: 1e999 is beyond"),
        ("[" * 3_900, "bad JSON"),
        ('["a", "x"]', "not an object: the line holds a list"),
        ('"a"', "not an object: the line holds a string"),
        ('{"text": "x"}', "missing id: no field '_id' or 'id'"),
        ('{"id": "  ", "text": "x"}', "missing id: it is blank"),
        ('{"id": true, "text": "x"}', "wrong type: the id is a boolean"),
        ('{"id": 1.5, "text": "x"}', "wrong type: the id is a number"),
        ('{"id": "a"}', "missing text: no field 'text' or 'body' or 'content'"),
        ('{"id": "a", "text": null}', "missing text"),
        ('{"id": "a", "text": ["x"]}', "wrong type: the text is a list"),
        ('{"id": "a", "text": "x", "title": {}}', "wrong type: the title is an object"),
        ('{"id": "a", "text": " \\n "}', "empty text"),
        ('{"id": "a", "text": "x\\u0000y"}', "NUL character: in the text"),
        ('{"id": "a\\u0000", "text": "x"}', "NUL character: in the id"),
        ('{"id": "a", "text": "x\\ud800"}', "broken character"),
        ('{"id": "a", "text": "x", "note": "\\udfff"}', "broken character"),
        (b'{"id": "a", "text": "\xb0\xa1"}', "wrong encoding: not UTF-8 at byte 21"),
        ('{"id": "a", "text": "x\0y"}', "bad JSON"),
        (json.dumps({"id": "a", "text": "x" * 5_000}), "too large: the line is longer"),
        (json.dumps({"id": "a", "text": "x" * 1_200}), "too large: 1,200 bytes"),
        (json.dumps({"id": "a" * 600, "text": "x"}), "id too long: 600 bytes"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else None,
)
def test_a_bad_line_is_rejected_and_reading_goes_on(
    tmp_path: Path, line: str | bytes, reason: str
) -> None:
    good = {"id": "good", "text": "fine"}
    source = write(tmp_path / "c.jsonl", {"id": "first", "text": "fine"}, line, good)
    first, bad, last = read_source(source, ReadOptions(max_document_bytes=1_000))
    assert isinstance(first, Document)
    assert isinstance(last, Document)
    assert isinstance(bad, Reject)
    assert bad.reason.startswith(reason)
    assert bad.origin == Origin(str(source), 2)
    assert 0 < len(bad.raw) <= 500


def test_a_reject_keeps_the_id_where_there_is_one(tmp_path: Path) -> None:
    source = write(tmp_path / "c.jsonl", {"id": "a", "text": ""}, {"text": "x"})
    assert [reject.doc_id for reject in rejects(source)] == ["a", None]


def test_an_id_may_fill_what_opensearch_leaves(tmp_path: Path) -> None:
    longest = "가" * (MAX_ID_BYTES // 3)
    source = write(
        tmp_path / "c.jsonl", {"id": longest, "text": "x"}, {"id": longest + "가나", "text": "x"}
    )
    assert [type(item) for item in read_source(source)] == [Document, Reject]


def test_size_is_counted_in_bytes_of_utf8(tmp_path: Path) -> None:
    source = write(
        tmp_path / "c.jsonl", {"id": "a", "text": "가" * 334}, {"id": "b", "text": "가" * 333}
    )
    options = ReadOptions(max_document_bytes=1_000)
    assert [type(item) for item in read_source(source, options)] == [Reject, Document]


def test_generated_ids_name_file_and_line(tmp_path: Path) -> None:
    source = write(
        tmp_path / "news.jsonl", {"text": "x"}, {"id": "own", "text": "y"}, {"text": "z"}
    )
    assert [d.id for d in read(source, ReadOptions(generate_ids=True))] == [
        "news-1",
        "own",
        "news-3",
    ]


def test_overlong_lines_are_never_held_in_memory() -> None:
    stream = io.BytesIO(b"x" * 1_000_000 + b"\nshort\n")
    overlong, short = bounded_lines(stream, 1_000)
    assert overlong.overlong
    assert len(overlong.content) == 500
    assert (short.number, short.content) == (2, b"short")


def test_a_line_of_exactly_the_limit_is_whole() -> None:
    lines = list(bounded_lines(io.BytesIO(b"12345\n12345"), 5))
    assert [(line.content, line.overlong) for line in lines] == [(b"12345", False)] * 2


def test_another_encoding_can_be_given(tmp_path: Path) -> None:
    source = write(tmp_path / "c.jsonl", '{"id": "a", "text": "예금"}'.encode("cp949"))
    assert rejects(source)[0].reason.startswith("wrong encoding")
    assert read(source, ReadOptions(encoding="cp949"))[0].text == "예금"


def test_a_template_makes_title_and_text_and_leaves_the_fields_filterable(tmp_path: Path) -> None:
    template = RecordTemplate.from_dict({"title": "{name}", "text": ["Made in {place.country}"]})
    source = write(tmp_path / "c.jsonl", {"id": "a", "name": "Steel", "place": {"country": "KR"}})
    (document,) = read(source, ReadOptions(template=template))
    assert (document.title, document.text) == ("Steel", "Made in KR")
    assert document.metadata == {"name": "Steel", "place": {"country": "KR"}}


def test_a_record_for_which_the_template_has_nothing_is_rejected(tmp_path: Path) -> None:
    template = RecordTemplate.from_dict({"text": ["Made in {country}"]})
    source = write(tmp_path / "c.jsonl", {"id": "a", "name": "Steel"})
    assert [r.reason for r in rejects(source, ReadOptions(template=template))] == ["empty text"]


def test_stdin_is_read_as_jsonl(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = type("Stdin", (), {"buffer": io.BytesIO(b'{"id": "a", "text": "x"}\n{"id"')})
    monkeypatch.setattr(sys, "stdin", fake)
    document, bad = read_source(Path("-"))
    assert document.origin == Origin("<stdin>", 1)
    assert isinstance(bad, Reject)


def test_stdin_in_another_format_is_refused() -> None:
    with pytest.raises(SourceError, match="stdin is read as jsonl"):
        read_source(Path("-"), ReadOptions(format="csv"))


def test_a_truncated_gzip_file_costs_only_its_end(tmp_path: Path) -> None:
    source = tmp_path / "c.jsonl.gz"
    lines = b"".join(
        b'{"id": "%d", "text": "%x"}\n' % (i, hash((i, "x")) & 0xFFFFFFFFFF) for i in range(5_000)
    )
    source.write_bytes(gzip.compress(lines)[:-2_000])
    *documents, last = read_source(source)
    assert len(documents) > 100
    assert isinstance(last, Reject)
    assert last.reason.startswith("damaged file")
    assert last.origin.line == len(documents) + 1


def test_what_is_not_gzip_at_all_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        read_source(write(tmp_path / "c.jsonl.gz", "plain text"))


# CSV and TSV


def test_csv_has_a_header_quotes_and_lines_within_cells(tmp_path: Path) -> None:
    source = write(
        tmp_path / "c.csv",
        "id,title,text,grade",
        'a,"T, quoted","line one',
        'line ""two""",3',
        "b,,plain,",
    )
    first, second = read(source)
    assert first == Document(
        "a", 'line one\nline "two"', "T, quoted", {"grade": "3"}, Origin(str(source), 2)
    )
    assert second == Document("b", "plain", "", {}, Origin(str(source), 4))


def test_tsv_is_read(tmp_path: Path) -> None:
    source = write(tmp_path / "c.tsv", "id\ttext", "a\tone, two")
    assert [d.text for d in read(source)] == ["one, two"]


def test_csv_columns_can_be_named(tmp_path: Path) -> None:
    source = write(tmp_path / "c.csv", "번호,내용,금액(원)", "1,예금 안내,5000")
    (document,) = read(source, ReadOptions(fields={"id": "번호", "text": "내용"}))
    assert (document.id, document.text, document.metadata) == (
        "1",
        "예금 안내",
        {"금액(원)": "5000"},
    )


def test_bad_rows_are_rejected_with_their_line(tmp_path: Path) -> None:
    source = write(
        tmp_path / "c.csv",
        "id,text",
        "a,good",
        "b,too,many",
        b"c,\xb0\xa1",
        "",
        "d,",
        ",no id",
        "e," + "x" * 5_000,
        'f,"' + "y\n" * 900 + '"',
        "g,good",
    )
    items = list(read_source(source, ReadOptions(max_document_bytes=1_000)))
    assert [i.id for i in items if isinstance(i, Document)] == ["a", "g"]
    found = [(i.origin.line, i.reason.partition(":")[0]) for i in items if isinstance(i, Reject)]
    assert found == [
        (3, "wrong number of fields"),
        (4, "wrong encoding"),
        (6, "missing text"),
        (7, "missing id"),
        (8, "too large"),
        (9, "too large"),
    ]


def test_a_stray_quote_does_not_swallow_the_rest_of_the_file(tmp_path: Path) -> None:
    rows = [f"r{i},{'text ' * 40}" for i in range(10_000)]
    source = write(tmp_path / "c.csv", "id,text", 'a,"never closed', *rows)
    items = list(read_source(source, ReadOptions(max_document_bytes=50_000)))
    assert isinstance(items[0], Reject)
    assert items[0].origin.line == 2
    assert sum(isinstance(item, Document) for item in items) > 8_000


def test_csv_without_a_column_for_the_text_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no column for the text .*the header has id, question"):
        read_source(write(tmp_path / "c.csv", "id,question", "a,b"))


# Parquet


def parquet(path: Path, columns: dict[str, Any]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def test_parquet_rows_become_documents(tmp_path: Path) -> None:
    source = parquet(
        tmp_path / "c.parquet",
        {
            "id": [1, 2, 3],
            "text": ["one", None, "three"],
            "day": [date(2024, 1, 15)] * 3,
            "amount": [Decimal("1.50")] * 3,
            "rate": [0.5, 0.5, float("nan")],
            "tags": [["a", "b"], [], None],
        },
    )
    first, second, third = read_source(source)
    assert first == Document(
        "1",
        "one",
        "",
        {"day": "2024-01-15", "amount": "1.50", "rate": 0.5, "tags": ["a", "b"]},
        Origin(str(source), 1),
    )
    assert isinstance(second, Reject)
    assert (second.origin.line, second.reason[:12]) == (2, "missing text")
    assert third.origin.line == 3
    assert isinstance(third, Document)
    assert third.metadata == {"day": "2024-01-15", "amount": "1.50"}


def test_parquet_text_that_is_no_utf8_costs_only_its_row(tmp_path: Path) -> None:
    import pyarrow as pa

    text = pa.array([b"good", b"\xb0\xa1", b"good"], type=pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 3, text.buffers())
    source = parquet(tmp_path / "c.parquet", {"id": ["a", "b", "c"], "text": broken})
    items = list(read_source(source))
    assert [type(item) for item in items] == [Document, Reject, Document]
    assert items[1].origin.line == 2


def test_a_broken_parquet_file_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not a readable Parquet file"):
        read_source(write(tmp_path / "c.parquet", "PAR1 not really"))


# Prose


def test_a_folder_of_prose_is_read_in_order_with_relative_ids(tmp_path: Path) -> None:
    write(tmp_path / "b" / "two.md", "# Fees", "", "Two euros.")
    write(tmp_path / "a.txt", "Plain text.")
    write(tmp_path / ".hidden" / "secret.txt", "no")
    write(tmp_path / "image.png", b"\x89PNG")
    write(tmp_path / "table.csv", "id,text")
    assert detect_format(tmp_path) == "files"
    first, second = read(tmp_path)
    assert (first.id, first.title, first.text.strip()) == ("a.txt", "", "Plain text.")
    assert (second.id, second.title, second.text.strip()) == ("b/two.md", "Fees", "Two euros.")
    assert second.origin == Origin(str(tmp_path / "b" / "two.md"))


def test_a_format_can_be_forced(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "text")
    write(tmp_path / "b.md", "markdown")
    assert [d.id for d in read(tmp_path, ReadOptions(format="markdown"))] == ["b.md"]
    odd = write(tmp_path / "notes.dat", '{"id": "a", "text": "x"}')
    assert [d.id for d in read(odd, ReadOptions(format="jsonl"))] == ["a"]


def test_bad_files_are_rejected_one_by_one(tmp_path: Path) -> None:
    write(tmp_path / "blank.txt", " ")
    write(tmp_path / "cp949.txt", "예금".encode("cp949"))
    write(tmp_path / "good.txt", "fine")
    write(tmp_path / "large.txt", "x" * 2_000)
    write(tmp_path / "nul.txt", "a\0b")
    write(tmp_path / "page.html", "<html></html>")
    items = list(read_source(tmp_path, ReadOptions(max_document_bytes=1_000)))
    found = {
        Path(i.origin.file).name: i.reason.partition(":")[0] for i in items if isinstance(i, Reject)
    }
    assert found == {
        "blank.txt": "empty text",
        "cp949.txt": "wrong encoding",
        "large.txt": "too large",
        "nul.txt": "NUL character",
        "page.html": "empty text",
    }
    assert [i.id for i in items if isinstance(i, Document)] == ["good.txt"]


@pytest.mark.parametrize(
    ("source", "title", "text", "metadata"),
    [
        ("# Title #\n\nBody", "Title", "Body", {}),
        ("Title\n=====\nBody", "Title", "Body", {}),
        ("Intro\n\n## Later\nBody", "Later", "Intro\n\n## Later\nBody", {}),
        ("```\n# comment\n```\nBody", "", "```\n# comment\n```\nBody", {}),
        ("# Only a title", "Only a title", "# Only a title", {}),
        ("#hashtag is no heading", "", "#hashtag is no heading", {}),
        (
            "---\ntitle: From above\ndate: 2024-01-15\ntags: [a, b]\n---\n# Own\nBody",
            "From above",
            "# Own\nBody",
            {"date": "2024-01-15", "tags": ["a", "b"]},
        ),
        ("---\nlang: ko\n---\n# 제목\n본문", "제목", "본문", {"lang": "ko"}),
        ('+++\ntitle = "T"\nn = 1\n+++\nBody', "T", "Body", {"n": 1}),
        ("---\n---\nBody", "", "Body", {}),
        ("---\n\nJust a rule\n\n---\nBody", "", "---\n\nJust a rule\n\n---\nBody", {}),
        ("- item\n---\nBody", "", "- item\n---\nBody", {}),
    ],
)
def test_markdown(
    tmp_path: Path, source: str, title: str, text: str, metadata: dict[str, Any]
) -> None:
    (document,) = read(write(tmp_path / "a.md", source))
    assert (document.title, document.text.rstrip(), document.metadata) == (title, text, metadata)


@pytest.mark.parametrize("front", ["a: [1", "a: &x 1\nb: *x", "a: 2024-13-45"])
def test_bad_front_matter_is_rejected(tmp_path: Path, front: str) -> None:
    (reject,) = rejects(write(tmp_path / "a.md", f"---\n{front}\n---\nBody"))
    assert reject.reason.startswith("bad front matter")


HTML = """<html lang="ko"><head><title>Card fees</title>{head}</head><body>
<nav><a href="/">Home</a><a href="/x">Products</a></nav>
<article><h1>Card fees</h1><p>{text} Your card costs ten euros per year, and it is charged
on the first day of January; customers below the age of 26 pay nothing at all.</p>
<p>Replacement cards cost five euros if the loss was not reported within one week.</p></article>
<footer>Copyright, imprint, cookies</footer></body></html>"""


def test_html_gives_main_text_and_title(tmp_path: Path) -> None:
    (document,) = read(write(tmp_path / "fees.html", HTML.format(head="", text="연회비 안내.")))
    assert document.title == "Card fees"
    assert "ten euros per year" in document.text
    assert "연회비" in document.text
    assert "Products" not in document.text
    assert "imprint" not in document.text


def test_html_in_the_encoding_it_declares(tmp_path: Path) -> None:
    page = HTML.format(head='<meta charset="euc-kr">', text="연회비 안내.").encode("cp949")
    (document,) = read(write(tmp_path / "fees.html", page))
    assert "연회비" in document.text
    undeclared = write(tmp_path / "x.html", HTML.format(head="", text="연회비").encode("cp949"))
    assert rejects(undeclared)[0].reason.startswith("wrong encoding")


def pdf(text: str) -> bytes:
    """The smallest file that shows one line of text."""
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
        b"/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Title(Fee schedule)>>",
    ]
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj%sendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer<</Size 6/Root 1 0 R/Info 5 0 R>>\nstartxref\n%d\n%%%%EOF" % len(body)
    return body + b"xref\n0 6\n0000000000 65535 f \n" + table + trailer


def test_pdf_gives_text_title_and_pages(tmp_path: Path) -> None:
    pytest.importorskip("pypdf", reason="needs the extra pdf")
    (tmp_path / "fees.pdf").write_bytes(pdf("Ten euros per year"))
    (document,) = read(tmp_path)
    assert document.text == "Ten euros per year"
    assert (document.title, document.metadata) == ("Fee schedule", {"pages": 1})


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"not a pdf", "unreadable"), (pdf(""), "empty text"), (pdf("x" * 2_000), "too large")],
)
def test_bad_pdf_files_are_rejected(tmp_path: Path, content: bytes, reason: str) -> None:
    pytest.importorskip("pypdf", reason="needs the extra pdf")
    (tmp_path / "a.pdf").write_bytes(content)
    (reject,) = rejects(tmp_path, ReadOptions(max_document_bytes=1_000))
    assert reject.reason.startswith(reason)


def test_pdf_without_the_library_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    (tmp_path / "a.pdf").write_bytes(pdf("text"))
    with pytest.raises(IngestError, match=r"pip install 'tandem-search\[pdf\]'"):
        list(read_source(tmp_path))


# Sources as a whole


def test_a_beir_folder_is_recognised(tmp_path: Path) -> None:
    write(tmp_path / "corpus.jsonl", {"_id": "a", "title": "", "text": "x"})
    write(tmp_path / "queries.jsonl", {"_id": "q", "text": "?"})
    assert detect_format(tmp_path) == "beir"
    assert [d.id for d in read(tmp_path)] == ["a"]


def test_a_folder_of_parts_is_read_as_one(tmp_path: Path) -> None:
    write(tmp_path / "part-2.jsonl", {"id": "b", "text": "y"})
    write(tmp_path / "part-1.jsonl", {"id": "a", "text": "x"})
    write(tmp_path / "part-3.jsonl.gz", "broken")
    write(tmp_path / "part-4.jsonl", {"id": "d", "text": "z"})
    items = list(read_source(tmp_path))
    assert [i.id for i in items if isinstance(i, Document)] == ["a", "b", "d"]
    assert [Path(i.origin.file).name for i in items if isinstance(i, Reject)] == ["part-3.jsonl.gz"]


def test_unusable_sources_say_what_is_allowed(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    mixed = tmp_path / "mixed"
    write(mixed / "a.jsonl", "{}")
    write(mixed / "b.csv", "id,text")
    unknown = write(tmp_path / "a.xyz", "?")
    nothing = write(tmp_path / "nothing.jsonl")
    for source, options, message in [
        (tmp_path / "absent", None, "does not exist"),
        (empty, None, r"holds nothing to read.*jsonl \(\.jsonl"),
        (mixed, None, "mixes csv, jsonl"),
        (mixed, ReadOptions(format="html"), "holds no html files"),
        (mixed, ReadOptions(format="beir"), "not a BEIR folder"),
        (unknown, None, r"unknown format.*parquet \(\.parquet\)"),
        (unknown, ReadOptions(format="beir"), "is a file"),
        (nothing, None, "holds no records"),
    ]:
        with pytest.raises(SourceError, match=message):
            list(read_source(source, options))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": "xml"}, "unknown format 'xml'; allowed: jsonl"),
        ({"fields": {"body": "x"}}, "unknown role body; allowed: id, title, text"),
        ({"max_document_bytes": 0}, "at least 1"),
        ({"encoding": "klingon"}, "unknown encoding 'klingon'"),
        ({"encoding": "utf-16"}, "does not hold ASCII unchanged"),
    ],
)
def test_options_are_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        ReadOptions(**values)


def test_the_number_of_records_is_estimated(tmp_path: Path) -> None:
    records = [{"_id": str(i), "text": "x"} for i in range(3)]
    beir = write(tmp_path / "beir" / "corpus.jsonl", *records).parent
    csv = write(tmp_path / "c.csv", "id,text", "a,x", "b,y")
    prose = write(tmp_path / "prose" / "a.txt", "x").parent
    write(prose / "b.md", "y")
    write(prose / "c.png", "z")
    packed = tmp_path / "c.jsonl.gz"
    packed.write_bytes(gzip.compress(b"{}"))
    unended = tmp_path / "u.jsonl"
    unended.write_bytes(b"{}\n{}")
    rows = parquet(tmp_path / "c.parquet", {"id": ["a", "b"], "text": ["x", "y"]})
    assert estimate_records(beir) == 3
    assert estimate_records(csv) == 2
    assert estimate_records(prose) == 2
    assert estimate_records(prose, ReadOptions(format="markdown")) == 1
    assert estimate_records(prose / "a.txt") == 1
    assert estimate_records(unended) == 2
    assert estimate_records(rows) == 2
    assert estimate_records(packed) is None
    assert estimate_records(Path("-")) is None
    assert estimate_records(write(tmp_path / "broken.parquet", "x")) is None


def test_a_corpus_with_every_kind_of_fault_keeps_its_good_documents(tmp_path: Path) -> None:
    source = write(
        tmp_path / "corpus.jsonl",
        {"_id": "a", "text": "good"},
        "{bad",
        {"_id": "b"},
        b'{"_id": "c", "text": "\xff"}',
        {"_id": "d", "text": ""},
        {"_id": "e", "text": "x" * 5_000_000},
        {"_id": "f", "text": "x" * 2_000_000},
        {"_id": "g", "text": "good"},
    )
    items = list(read_source(source))
    assert [item.id for item in items if isinstance(item, Document)] == ["a", "g"]
    lines = [item.origin.line for item in items if isinstance(item, Reject)]
    assert lines == [2, 3, 4, 5, 6, 7]
