"""Searching with an experiment: arms, fallback, and a log that never stands in the way."""

import threading
from typing import Any

import pytest
from experiment_samples import BROKEN, MemoryLog, click, experiment, open_fake, query

from opensearch.errors import IndexNotFoundError
from operations.errors import OperationsError
from operations.experiments.assigning import group_of
from operations.experiments.background_log import BackgroundLog
from operations.experiments.experiment import Arm, Experiment
from operations.experiments.opening import OpenArm
from operations.experiments.reading import read_experiment
from operations.experiments.routing import Routes, Wanted
from operations.experiments.session import ExperimentSearch, Question

A_IDS = [f"a{n}" for n in range(20)]
B_IDS = [f"b{n}" for n in range(20)]
ALIAS = Arm("docs-v1-1")


class World:
    """A cluster that says what is wanted, and opens arms."""

    def __init__(self, running: Experiment | None = None) -> None:
        self.wanted = Wanted(ALIAS, running)
        self.errors: dict[str, Exception] = {}
        self.closed: set[str] = set()
        self.opened: list[str] = []
        self.unreachable: Exception | None = None
        self.log = MemoryLog()

    def read(self) -> Wanted:
        if self.unreachable:
            raise self.unreachable
        return self.wanted

    def open(self, arm: Arm) -> OpenArm:
        self.opened.append(arm.physical)
        if arm.physical in self.closed:
            raise BROKEN
        ids = A_IDS if arm == ALIAS else B_IDS
        return open_fake(arm, ids, self.errors.get(arm.physical))

    def search(self, **options: Any) -> ExperimentSearch:
        routes = Routes(self.read, self.open, interval_s=60)
        return ExperimentSearch("docs", routes, BackgroundLog(self.log.record, **options))


def user_in(one: Experiment, group: str) -> str:
    return next(key for key in map(str, range(1000)) if group_of(one, key) == group)


def test_without_an_experiment_the_alias_answers() -> None:
    world = World()
    with world.search() as search:
        answer = search.search(Question("words", "ann", size=3))
    assert [hit.id for hit in answer.hits] == ["a0", "a1", "a2"]
    assert (answer.group, answer.experiment) == (None, None)
    (logged,) = world.log.stored_queries
    assert (logged.shown, logged.client_id, logged.index) == (("a0", "a1", "a2"), "ann", "docs")
    assert "arm" not in logged.attributes


def test_users_see_their_arm_and_the_log_says_which() -> None:
    one = experiment(share=0.5)
    world = World(one)
    with world.search() as search:
        for key in map(str, range(200)):
            answer = search.search(Question("words", key))
            assert answer.group == group_of(one, key)
            assert answer.hits[0].id == ("a0" if answer.group == "A" else "b0")
    columns = read_experiment(world.log, one)
    assert columns.users == 200
    assert 60 < columns.in_b.sum() < 140
    versions = {q.attributes["arm"]: q.attributes["version"] for q in world.log.stored_queries}
    assert versions == {"A": "docs-v1-1", "B": "docs-v2-1"}


def test_a_failing_b_is_replaced_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    one = experiment(share=0.5)
    world = World(one)
    world.errors["docs-v2-1"] = BROKEN
    with world.search() as search:
        answer = search.search(Question("words", user_in(one, "B")))
        counts = search.status()["searches"]
    assert answer.hits[0].id == "a0"
    assert (answer.group, answer.fallback) == ("B", True)
    assert counts == {"failures of B": 1, "B": 1, "fallbacks": 1}
    # Counted for the arm the user was assigned to: whoever fails must not look better for it.
    columns = read_experiment(world.log, one)
    assert columns.in_b.tolist() == [True]
    assert columns.counts == {"fallbacks": 1}
    assert "secret words" not in caplog.text


def test_a_failing_a_is_an_error_for_its_users() -> None:
    one = experiment(share=0.5)
    world = World(one)
    world.errors["docs-v1-1"] = BROKEN
    with world.search() as search:
        assert search.search(Question("words", user_in(one, "B"))).hits[0].id == "b0"
        with pytest.raises(type(BROKEN)):
            search.search(Question("words", user_in(one, "A")))


def test_interleaved_hits_name_their_teams_and_pages_fit_together() -> None:
    one = experiment(method="interleaving", share=1.0)
    world = World(one)
    with world.search() as search:
        whole = search.search(Question("words", "ann", size=10))
        pages = [
            search.search(Question("words", "ann", 5, offset, query_id=whole.query_id))
            for offset in (0, 5)
        ]
    assert sorted(hit.id[0] for hit in whole.hits) == ["a"] * 5 + ["b"] * 5
    assert "".join(hit.id[0] for hit in whole.hits) == whole.teams.lower()
    assert [hit.rank for hit in whole.hits] == list(range(1, 11))
    joined = [hit for page in pages for hit in page.hits]
    assert [(h.id, h.rank) for h in joined] == [(h.id, h.rank) for h in whole.hits]
    # A further page is no query of its own.
    assert len(world.log.stored_queries) == 2


def test_interleaving_without_b_shows_a() -> None:
    one = experiment(method="interleaving", share=1.0)
    world = World(one)
    world.errors["docs-v2-1"] = BROKEN
    with world.search() as search:
        answer = search.search(Question("words", "ann"))
    assert (answer.hits[0].id, answer.teams, answer.fallback) == ("a0", "", True)


def test_routes_follow_the_cluster_and_open_each_arm_once() -> None:
    one = experiment(share=0.5)
    world = World()
    routes = Routes(world.read, world.open, interval_s=60)
    assert routes.current.a.arm == ALIAS
    world.wanted = Wanted(Arm("docs-v7-1"), one)
    routes.refresh()
    # Arm A is pinned, whatever the alias stands for meanwhile.
    assert (routes.current.a.arm, routes.current.b.arm) == (one.a, one.b)
    routes.refresh()
    assert world.opened == ["docs-v1-1", "docs-v2-1"]
    world.wanted = Wanted(Arm("docs-v2-1"), None)
    routes.refresh()
    assert routes.current.a.arm.physical == "docs-v2-1"
    assert world.opened == ["docs-v1-1", "docs-v2-1"]


def test_an_arm_b_that_cannot_be_opened_is_tried_again() -> None:
    world = World(experiment(share=0.5))
    world.closed.add("docs-v2-1")
    routes = Routes(world.read, world.open, interval_s=60)
    assert routes.current.b is None
    world.closed.clear()
    routes.refresh()
    assert routes.current.b is not None


def test_the_last_route_stands_while_the_cluster_is_away() -> None:
    world = World()
    routes = Routes(world.read, world.open, interval_s=60)
    before = routes.current
    world.unreachable = BROKEN
    routes.refresh()
    assert routes.current is before
    fresh = Routes(world.read, world.open)
    with pytest.raises(type(BROKEN)):
        fresh.refresh()


def test_an_index_deleted_behind_a_swap_costs_no_search() -> None:
    world = World()
    world.errors["docs-v1-1"] = IndexNotFoundError("gone")
    with world.search() as search:
        world.wanted = Wanted(Arm("docs-v2-1"), None)
        assert search.search(Question("words", "ann")).hits[0].id == "b0"
    assert len(world.log.stored_queries) == 1


def test_routes_are_looked_up_in_the_background() -> None:
    world = World()
    seen = threading.Event()
    read = world.read

    def reading() -> Wanted:
        if world.opened:
            seen.set()
        return read()

    with Routes(reading, world.open, interval_s=0.01):
        assert seen.wait(10)


def test_a_full_or_failing_log_costs_no_search() -> None:
    world = World()
    world.log.error = OperationsError("no room")
    with world.search(capacity=3, interval_s=60) as search:
        for number in range(5):
            assert search.search(Question("words", str(number))).hits
        search.log.flush()
        assert search.status()["log"] == {"written": 0, "waiting": 3, "dropped": 2}
        world.log.error = None
        search.log.flush()
        assert search.status()["log"] == {"written": 3, "waiting": 0, "dropped": 2}
    assert [q.client_id for q in world.log.stored_queries] == ["0", "1", "2"]


def test_the_log_is_written_in_the_background_and_at_the_end() -> None:
    memory = MemoryLog()
    written = threading.Event()

    def write(queries: Any, events: Any) -> MemoryLog:
        written.set()
        return memory.record(queries, events)

    with BackgroundLog(write, interval_s=0.01) as log:
        log.put(query(1, "ann"))
        assert written.wait(10)
    with BackgroundLog(memory.record, interval_s=0.01) as log:
        for number in range(1200):
            log.put(query(number, "bob"))
        log.put(click(1, "d1"))
    assert len(memory.stored_queries) == 1201
    assert len(memory.stored_events) == 1


def test_refused_events_are_counted() -> None:
    memory = MemoryLog(refused=(("q1", "why"),))
    log = BackgroundLog(memory.record)
    log.put(query(1, "ann"))
    log.put(query(2, "ann"))
    log.flush()
    assert (log.counts.written, log.counts.dropped) == (1, 1)
