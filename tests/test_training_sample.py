"""The sample corpus is what its SOURCE.md says it is."""

import csv
import json
import re
from collections import Counter, defaultdict
from datetime import date
from functools import cache
from typing import Any

import pytest

from training.sample_corpus import sample_folder

Record = dict[str, Any]

CORPUS_KEYS = {"_id", "title", "text", "metadata"}
MAX_TITLE, MAX_TEXT, MAX_QUERY = 120, 8_000, 200
# Function words, and the verbs that carry no topic.
ENGLISH_STOPS = frozenset(
    """a about after again all am an and any anything are as at be because been before being but by
    came can cannot come comes could d did do does doesn doing don done each else even ever for from
    get gets getting give given go goes going gone got had has have having he her here him his how i
    if in into is isn it its just keep let like ll m make may me might more most much must my no not
    now of off on one only or other our out over own re s say says shall she should so some
    something still such t take takes than that the their them then there these they thing things
    this those to too under up us use used using ve very want wants was wasn way we were what when
    where whether which while who whom whose why will with within without won would you your yours
    need needs""".split()
)
KOREAN_STOPS = frozenset(
    """어떻 어떡 어디 언제 얼마 무엇 무슨 어느 누가 제가 저는 저희 나는 내가 이거 그거 이게 그게
    이런 그런 있나 있는 있어 있을 있습 없나 없는 없어 없이 하나 하는 하면 하려 하고 해도 해야
    해서 했는 했어 한데 할까 합니 되나 되는 되면 되어 돼요 됐는 됩니 된다 인데 인가 건가 거예
    싶어 싶은 주세 주나 줘요 그냥 혹시 아직 계속 다시 이미 지금 바로 같은 대해 위해 그리 그러
    아니""".split()
)
# Names of banks that exist: none may appear, since every rate and fee here is invented.
REAL_BANKS = re.compile(
    r"""\b(kb|kookmin|shinhan|woori|hana\ bank|hanabank|hanvit|hanbit|nonghyup|nh\ bank|ibk|
    kakao|kakaobank|toss|k\ bank|kbank|citi|citibank|hsbc|barclays|santander|chase|wells\ fargo|
    standard\ chartered|deutsche|bnp|suhyup|kdb|korea\ exchange\ bank|daegu\ bank|busan\ bank)\b
    |국민은행|신한|우리은행|하나은행|농협|기업은행|카카오|토스|케이뱅크|씨티|한빛은행|수협|산업은행
    |새마을금고|우체국|부산은행|대구은행|광주은행|전북은행|경남은행|제주은행|외환은행|제일은행""",
    re.IGNORECASE | re.VERBOSE,
)
SUFFIXES = ("ations", "ation", "ments", "ment", "ings", "ing", "ies", "ied")
SUFFIXES += ("ers", "er", "ed", "es", "ly", "s", "e", "y")


def strip_suffix(word: str) -> str:
    """One suffix off, and one of two equal last consonants."""
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word.removesuffix(suffix)
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def crude_stem(word: str) -> str:
    """Two suffixes off, so that transfers, transferring and transferred meet."""
    return strip_suffix(strip_suffix(word))


def content_words(text: str, lang: str) -> set[str]:
    """What a text is about: crude stems in English, the head of each eojeol in Korean."""
    tokens = re.findall(r"[a-z0-9]+|[가-힣]+", text.lower().replace("’", "'"))
    if lang == "en":
        return {crude_stem(token) for token in tokens if token not in ENGLISH_STOPS}
    heads = {t[:2] if re.match(r"[가-힣]", t) else t for t in tokens if len(t) >= 2}
    return heads - KOREAN_STOPS


def read_lines(name: str) -> list[Record]:
    with (sample_folder() / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@cache
def corpus() -> dict[str, Record]:
    return {record["_id"]: record for record in read_lines("corpus.jsonl")}


@cache
def queries() -> dict[str, Record]:
    return {record["_id"]: record for record in read_lines("queries.jsonl")}


@cache
def qrels() -> tuple[tuple[str, str, int], ...]:
    with (sample_folder() / "qrels" / "test.tsv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows[0] == ["query-id", "corpus-id", "score"]
    return tuple((query, doc, int(score)) for query, doc, score in rows[1:])


def shared_words(query: Record, doc: Record) -> set[str]:
    lang = query["metadata"]["lang"]
    passage = f"{doc['title']}\n{doc['text']}"
    return content_words(query["text"], lang) & content_words(passage, lang)


def test_is_as_large_as_promised() -> None:
    assert len(corpus()) >= 320
    languages = Counter(query["metadata"]["lang"] for query in queries().values())
    assert languages["en"] >= 60
    assert languages["ko"] >= 40


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_ids_are_unique(name: str) -> None:
    counts = Counter(record["_id"] for record in read_lines(name))
    assert [key for key, count in counts.items() if count > 1] == []


def test_no_two_passages_say_the_same() -> None:
    counts = Counter(record["text"] for record in corpus().values())
    assert [text for text, count in counts.items() if count > 1] == []


def test_every_passage_is_complete() -> None:
    for record in corpus().values():
        assert set(record) == CORPUS_KEYS
        metadata = record["metadata"]
        assert metadata["lang"] == record["_id"][:2]
        assert metadata["category"]
        assert metadata["product"]
        assert date(2023, 1, 1) <= date.fromisoformat(metadata["updated"]) <= date(2026, 1, 31)


def test_texts_are_within_limits() -> None:
    for record in corpus().values():
        assert 20 <= len(record["text"]) <= MAX_TEXT, record["_id"]
        assert len(record["title"]) <= MAX_TITLE, record["_id"]
        assert record["text"] == record["text"].strip()
    for query in queries().values():
        assert 2 <= len(query["text"]) <= MAX_QUERY, query["_id"]


def test_languages_are_shared_out() -> None:
    english = sum(record["metadata"]["lang"] == "en" for record in corpus().values())
    assert 0.50 <= english / len(corpus()) <= 0.60


@pytest.mark.parametrize(("lang", "least"), [("en", 0.0), ("ko", 0.5)])
def test_texts_are_in_the_language_they_declare(lang: str, least: float) -> None:
    for record in [*corpus().values(), *queries().values()]:
        if record["metadata"]["lang"] == lang:
            letters = re.findall(r"[a-zA-Z가-힣]", record["text"])
            if not letters or record["metadata"].get("kind") == "exact":
                continue  # an error code is in no language
            hangul = sum(letter >= "가" for letter in letters) / len(letters)
            assert hangul == 0.0 if lang == "en" else hangul >= least, record["_id"]


def test_some_passages_are_long_and_some_are_one_line() -> None:
    words = [len(record["text"].split()) for record in corpus().values()]
    assert sum(400 <= count <= 900 for count in words) >= 12
    assert sum(count <= 25 for count in words) >= 8


def test_most_passages_have_a_title() -> None:
    titled = sum(bool(record["title"]) for record in corpus().values())
    assert 0.8 <= titled / len(corpus()) < 1.0


def test_judgements_name_what_exists() -> None:
    pairs = Counter((query, doc) for query, doc, _ in qrels())
    assert max(pairs.values()) == 1
    for query, doc, score in qrels():
        assert query in queries()
        assert doc in corpus()
        assert score in (1, 2)


def test_every_query_is_judged_within_its_language() -> None:
    grades = defaultdict(list)
    for query, doc, score in qrels():
        grades[query].append(score)
        assert queries()[query]["metadata"]["lang"] == corpus()[doc]["metadata"]["lang"]
    assert set(grades) == set(queries())
    for query, scores in grades.items():
        assert 1 <= len(scores) <= 4, query
        assert max(scores) == 2, query


def test_at_least_half_of_the_queries_are_paraphrases() -> None:
    kinds = Counter(query["metadata"]["kind"] for query in queries().values())
    assert set(kinds) == {"paraphrase", "keyword", "exact"}
    assert kinds["paraphrase"] >= len(queries()) / 2


def test_a_paraphrase_shares_no_content_word_with_its_answer() -> None:
    shared = {
        (query, doc): words
        for query, doc, score in qrels()
        if score == 2 and queries()[query]["metadata"]["kind"] == "paraphrase"
        if (words := shared_words(queries()[query], corpus()[doc]))
    }
    assert shared == {}


def test_a_keyword_query_shares_words_with_an_answer() -> None:
    answered = {
        query
        for query, doc, score in qrels()
        if score == 2 and shared_words(queries()[query], corpus()[doc])
    }
    lookups = {key for key, q in queries().items() if q["metadata"]["kind"] != "paraphrase"}
    assert lookups <= answered


def test_an_exact_query_names_a_code_or_a_number() -> None:
    for query in queries().values():
        if query["metadata"]["kind"] == "exact":
            assert re.search(r"\d", query["text"]), query["_id"]


def test_every_error_code_in_the_metadata_stands_in_the_text() -> None:
    coded = [record for record in corpus().values() if "code" in record["metadata"]]
    assert coded
    for record in coded:
        assert record["metadata"]["code"] in record["title"] + record["text"], record["_id"]


def test_no_bank_that_exists_is_named() -> None:
    texts = [*corpus().values(), *queries().values()]
    named = {
        r["_id"]: m[0] for r in texts if (m := REAL_BANKS.search(json.dumps(r, ensure_ascii=False)))
    }
    assert named == {}


def test_the_source_note_declares_authorship_and_licence() -> None:
    note = (sample_folder() / "SOURCE.md").read_text(encoding="utf-8")
    assert "written by" in note.lower()
    assert "Apache-2.0" in note
    assert "invented" in note


@pytest.mark.parametrize(
    ("text", "lang", "words"),
    [
        ("Where are the Transfers?", "en", {"transf"}),
        ("transferring a card", "en", {"transf", "card"}),
        ("이체가 안 돼요", "ko", {"이체"}),
    ],
)
def test_content_words(text: str, lang: str, words: set[str]) -> None:
    found = content_words(text, lang)
    assert found == words
