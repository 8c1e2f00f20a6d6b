"""Two sides asked the same; queries sampled; sides opened."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from feedback_samples import START, MemoryLog

from opensearch.errors import SearchBackendError
from opensearch.hits import Hit, SearchResult
from operations.feedback.events import QueryEvent
from operations.feedback.windows import Window
from operations.shadow import comparing
from operations.shadow.comparing import (
    Answer,
    ShadowOptions,
    ShadowQuery,
    Side,
    Tally,
    shadow,
)
from operations.shadow.errors import ShadowError
from operations.shadow.sampling import Sampling, sample, sample_file, sample_log


@dataclass
class Answers:
    """A search that answers what it was told to."""

    known: dict[str, str]
    failing: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    def search(self, request):
        self.asked.append(request.text)
        if request.text in self.failing:
            raise SearchBackendError("it is down")
        ids = self.known.get(request.text, "")[: request.size]
        hits = tuple(Hit(d, f"{d}#0", 1.0 / n, n) for n, d in enumerate(ids, 1))
        return SearchResult(hits, ("bm25",), {}, {}, encode_ms=0.5, search_ms=1.0)


def sides(production: Answers, candidate: Answers) -> tuple[Side, Side]:
    return Side("docs-v1", production), Side("docs-v2", candidate)


def queries(*texts: str) -> list[ShadowQuery]:
    return [ShadowQuery(text) for text in texts]


OPTIONS = ShadowOptions(warm_up=False)


def test_answers_are_compared() -> None:
    first = Answers({"same": "abc", "moved": "abc", "other": "abc", "lost": "abc"})
    second = Answers({"same": "abc", "moved": "bac", "other": "xyz", "new": "a"})
    asked = queries("same", "moved", "other", "lost", "new", "nothing")
    report = shadow(*sides(first, second), asked, OPTIONS)
    assert report.queries == 6
    assert report.same_answer == pytest.approx(2 / 6)  # same, nothing
    assert report.same_first == pytest.approx(2 / 6)
    assert report.overlap[3] == pytest.approx(3 / 6)  # and moved
    assert report.nothing_found == {"both": 1, "production": 1, "candidate": 1}
    assert [e.query for e in report.examples] == ["other", "lost", "new", "moved"]
    assert report.examples[0].candidate == ("x", "y", "z")
    assert 0 < report.rbo_least < report.rbo < 1
    assert report.latency["production"].p50 >= 0
    values = report.as_dict()
    assert values["overlap"]["1"] == 0.3333 and values["encoding_ms"]["candidate"]["p50"] == 0.5


def test_the_same_index_agrees_with_itself() -> None:
    known = {"a": "abc", "b": "cba"}
    report = shadow(*sides(Answers(known), Answers(known)), queries("a", "b"), OPTIONS)
    assert (report.rbo, report.rbo_error, report.same_answer) == (pytest.approx(1), 0, 1)
    assert report.examples == ()


def test_the_sides_take_turns_in_going_first() -> None:
    order: list[str] = []

    class Noted(Answers):
        def search(self, request):
            order.append(self.known["name"])
            return super().search(request)

    shadow(*sides(Noted({"name": "p"}), Noted({"name": "c"})), queries("a", "b", "c"), OPTIONS)
    assert "".join(order) == "pccppc"


def test_a_warm_up_is_not_measured() -> None:
    first, second = Answers({"x": "a"}), Answers({"x": "a"})
    report = shadow(*sides(first, second), queries("x"), ShadowOptions())
    assert (len(first.asked), len(second.asked), report.queries) == (2, 2, 1)


def test_failures_are_counted_and_left_out() -> None:
    known = {"a": "abc", "b": "abc"}
    candidate = Answers(known, failing=("b",))
    report = shadow(*sides(Answers(known), candidate), queries("a", "b"), OPTIONS)
    assert (report.queries, report.rbo) == (1, pytest.approx(1.0))
    assert report.failed == {"production": 0, "candidate": 1}
    broken = Answers(known, failing=("a", "b"))
    with pytest.raises(ShadowError, match="candidate failed on 2"):
        shadow(*sides(Answers(known), broken), queries("a", "b"), OPTIONS)
    with pytest.raises(ShadowError, match="no queries were given"):
        shadow(*sides(Answers(known), broken), [], OPTIONS)


def test_rate_and_limit_bound_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(comparing.time, "sleep", pauses.append)
    first = Answers({})
    endless = (ShadowQuery(f"query {n}") for n in range(10**9))
    options = ShadowOptions(rate=2.0, limit=4, warm_up=False)
    report = shadow(*sides(first, Answers({})), endless, options)
    assert report.queries == len(first.asked) == 4
    # Query n is due n / rate after the first; nothing else takes time here.
    assert pauses == pytest.approx([0, 0.5, 1.0, 1.5], abs=0.4)


def test_examples_are_bounded_masked_and_withheld() -> None:
    tally = Tally(ShadowOptions(examples=2))
    same, other = Answer(tuple("abc"), 1.0), Answer(tuple("xyz"), 2.0)
    tally.add(ShadowQuery("fine"), same, same)
    tally.add(ShadowQuery("mail me@example.com"), same, other)
    tally.add(ShadowQuery("rare", shareable=False), same, other)
    tally.add(ShadowQuery("third"), same, other)
    report = tally.report("p", "c")
    assert [e.query for e in report.examples] == ["mail [EMAIL]", None]


@pytest.mark.parametrize("wrong", [{"size": 0}, {"p": 1.0}, {"rate": 0}, {"limit": 0}])
def test_impossible_options_are_refused(wrong: dict) -> None:
    with pytest.raises(ShadowError):
        ShadowOptions(**wrong)


def asked(number: int, text: str, client: str, index: str | None = None) -> QueryEvent:
    moment = START + timedelta(minutes=number)
    return QueryEvent(f"q{number}", text, moment, client, index=index)


def test_a_log_is_sampled_evenly_and_the_same_every_time() -> None:
    log = MemoryLog([asked(n, f"query {n}", f"c{n}") for n in range(1000)])
    first = sample_log(log, Window(), Sampling(200))
    assert first == sample_log(log, Window(), Sampling(200))
    assert first != sample_log(log, Window(), Sampling(200, seed=1))
    places = [int(q.text.split()[1]) for q in first]
    assert places == sorted(places)
    # 200 of 1000 without replacement: about 100 in each half, standard deviation 6.3.
    assert 70 < sum(place < 500 for place in places) < 130
    assert not any(q.shareable for q in first)


def test_a_query_is_quoted_if_enough_clients_issued_it() -> None:
    log = MemoryLog(
        [asked(n, "Lost card", f"c{n}") for n in range(3)]
        + [asked(9, "rare", "c0"), asked(10, "elsewhere", "c0", index="other")]
    )
    found = sample_log(log, Window(), Sampling(99, index="docs", min_clients=3))
    assert {q.text: q.shareable for q in found} == {"Lost card": True, "rare": False}


def test_a_small_sample_is_everything() -> None:
    assert sample([("a", 1), ("b", 2)], Sampling(5)) == [1, 2]


def test_files_are_sampled(tmp_path: Path) -> None:
    path = tmp_path / "queries.txt"
    path.write_text("\n".join(f"query {n}" for n in range(50)))
    found = sample_file(path, Sampling(10))
    assert len(found) == 10 and all(q.shareable for q in found)
