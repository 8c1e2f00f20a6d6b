"""Does the report of an experiment keep its promises? Simulated users, with effects that are known.

    python benchmarks/ab_simulator.py --output docs/ab-simulator.md

Users come one after the other, in one or more sessions with some queries each; some click a lot
and some hardly ever, all of them look at the upper positions more than at the lower ones. Arm B
reorders the results of arm A: at random (no difference), or so that the relevant document of some
queries stands first (a difference whose size follows from the model, not from its log).

Assignment, team draft, sums per user, statistics and verdicts are those of `tandem ab`; nothing of
them is written a second time here.
"""

import argparse
import math
import platform
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np

from operations.experiments.assigning import group_of
from operations.experiments.columns import QueryColumns, per_user
from operations.experiments.estimates import difference, ratio
from operations.experiments.experiment import PREFERENCE, Arm, Experiment, Phase, Plan
from operations.experiments.interleaving import team_draft
from operations.experiments.power import Baseline, baseline_of, plan_users, power_with
from operations.experiments.report import evaluate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEPTH = 10
POOL = 200  # distinct queries of each kind, each also with its arms exchanged
DRAFTS = 16  # drafts of each by `team_draft`
LOOKS = 10
PILOT_USERS = 20_000
TRUTH_QUERIES = 2_000_000
EXAMINED = 1.0 / np.arange(1, DEPTH + 1) ** 0.8  # chance to look at a position
ATTRACTION = np.array([0.04, 0.75])  # chance to click what was looked at: not relevant, relevant
TEMPER = (2.0, 1.4)  # Beta of a user's readiness to click


@dataclass(frozen=True)
class Pool:
    """Queries with the attraction of what is shown for them, all `[queries, DEPTH]`.

    Attributes:
        a: In arm A.
        b: In arm B.
        mixed: Interleaved, `[queries, DRAFTS, DEPTH]`.
        team_b: Where arm B brought the document, likewise.
    """

    a: np.ndarray
    b: np.ndarray
    mixed: np.ndarray
    team_b: np.ndarray


@cache
def pool(better: bool) -> Pool:
    """Queries on which B is as good as A, or better."""
    random = np.random.default_rng([7, better])
    attraction = ATTRACTION[(random.random((POOL, 2 * DEPTH)) < 0.12).astype(int)]
    attraction[np.arange(POOL), random.integers(0, 6, POOL)] = ATTRACTION[1]
    a = np.tile(np.arange(2 * DEPTH), (POOL, 1))
    b = np.array([improved(row) if better else shuffled(random) for row in attraction])
    ids, team_b = drafts(a, b)
    rows = np.arange(POOL)[:, None]
    found = Pool(
        a=attraction[rows, a[:, :DEPTH]],
        b=attraction[rows, b[:, :DEPTH]],
        mixed=attraction[rows[:, :, None], ids],
        team_b=team_b,
    )
    return found if better else with_arms_exchanged(found)


def drafts(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interleaved lists of every query, and where B brought the document."""
    mixed = [
        [team_draft(list(map(str, x)), list(map(str, y)), DEPTH, f"{q}-{d}") for d in range(DRAFTS)]
        for q, (x, y) in enumerate(zip(a, b, strict=True))
    ]
    ids = np.array([[list(map(int, draft.ids)) for draft in row] for row in mixed])
    return ids, np.array([[[t == "B" for t in draft.teams] for draft in row] for row in mixed])


def with_arms_exchanged(one: Pool) -> Pool:
    """Every query a second time with A for B, so that the effect is 0 and not only about 0."""
    return Pool(
        a=np.concatenate([one.a, one.b]),
        b=np.concatenate([one.b, one.a]),
        mixed=np.concatenate([one.mixed, one.mixed]),
        team_b=np.concatenate([one.team_b, ~one.team_b]),
    )


def shuffled(random: np.random.Generator) -> np.ndarray:
    """A ranking with neighbours exchanged here and there."""
    return np.argsort(np.arange(2 * DEPTH) + random.normal(scale=1.5, size=2 * DEPTH))


def improved(attraction: np.ndarray) -> np.ndarray:
    """The best document first."""
    best = int(np.argmax(attraction))
    return np.array([best, *(one for one in range(2 * DEPTH) if one != best)])


@dataclass(frozen=True)
class World:
    """What arm B does.

    Attributes:
        method: How the arms are compared.
        gain: Share of the queries on which B is better.
        effect: The true difference of the primary metric that follows.
    """

    method: str
    gain: float
    effect: float


@dataclass(frozen=True)
class Log:
    """An experiment's queries in the order of time, and when each was, from 0 to 1."""

    columns: QueryColumns
    when: np.ndarray

    def until(self, moment: float) -> QueryColumns:
        """What had been logged at a moment."""
        end = int(np.searchsorted(self.when, moment, side="right"))
        names = ("user", "in_b", "results", "clicks", "clicks_in_k", "first_rank", "latency_ms",
                 "win")  # fmt: skip
        cut = {name: getattr(self.columns, name)[:end] for name in names}
        return replace(self.columns, **cut)


def simulate(world: World, experiment: Experiment, users: int, seed: list[int]) -> Log:
    """The log of an experiment."""
    random = np.random.default_rng(seed)
    keys = [f"{seed}-{number}" for number in range(users)]
    group = np.array([group_of(experiment, key) != "A" for key in keys])
    temper = random.beta(*TEMPER, size=users)
    when, user = visits(random, users)
    in_b = group[user]
    shown, team_b = results(world, random, in_b)
    clicked = random.random(shown.shape) < shown * EXAMINED * temper[user][:, None]
    return Log(columns_of(users, user, in_b, clicked, team_b), when)


def visits(random: np.random.Generator, users: int) -> tuple[np.ndarray, np.ndarray]:
    """Moment and user of every query: users come evenly, and some of them come back."""
    sessions = 1 + random.poisson(0.6, users)
    user = np.repeat(np.arange(users), sessions)
    first = np.concatenate([[True], user[1:] != user[:-1]])
    pause = np.where(first, 0.0, random.exponential(0.1, len(user)))
    passed = np.cumsum(pause)
    when = (user + 0.5) / users + passed - np.repeat(passed[first], sessions)
    queries = 1 + random.poisson(1.0, len(user))
    when, user = np.repeat(when, queries), np.repeat(user, queries)
    order = np.argsort(when, kind="stable")
    order = order[: np.searchsorted(when[order], 1.0, side="right")]
    return when[order], user[order]


def results(
    world: World, random: np.random.Generator, in_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Attraction of what each query shows, and which of it is of team B."""
    shown = np.empty((len(in_b), DEPTH))
    team_b = np.zeros((len(in_b), DEPTH), bool)
    better = random.random(len(in_b)) < world.gain
    for kind in (False, True):
        rows = np.flatnonzero(better == kind)
        source = pool(kind)
        query = random.integers(0, len(source.a), len(rows))
        shown[rows] = np.where(in_b[rows, None], source.b[query], source.a[query])
        if world.method == "interleaving":
            draft = random.integers(0, DRAFTS, len(rows))
            shown[rows] = np.where(in_b[rows, None], source.mixed[query, draft], shown[rows])
            team_b[rows] = source.team_b[query, draft]
    return shown, team_b


def columns_of(
    users: int, user: np.ndarray, in_b: np.ndarray, clicked: np.ndarray, team_b: np.ndarray
) -> QueryColumns:
    """What was clicked, as the report reads it."""
    clicks = clicked.sum(axis=1)
    lead = 2 * (clicked & team_b).sum(axis=1) - clicks
    return QueryColumns(
        users=users,
        user=user,
        in_b=in_b,
        results=np.full(len(user), DEPTH),
        clicks=clicks,
        clicks_in_k=clicks,
        first_rank=np.where(clicks > 0, clicked.argmax(axis=1) + 1, 0),
        latency_ms=np.full(len(user), 20.0),
        win=np.sign(lead),
    )


def true_effect(method: str, gain: float, part: float = 1.0) -> float:
    """What the primary metric gains: CTR by summation, preference from very many queries.

    Args:
        method: How the arms are compared.
        gain: Share of the queries on which B is better.
        part: So much of the usual number of queries, for a first guess.
    """
    if method == "split":
        drawn = np.random.default_rng(1).beta(*TEMPER, 200_000)
        tempers = np.quantile(drawn, np.arange(0.0025, 1, 0.005))
        better = pool(True)
        return gain * float(ctr(better.b, tempers) - ctr(better.a, tempers))
    random = np.random.default_rng(2)
    queries = int(part * TRUTH_QUERIES)
    wins = clicked = 0
    for _ in range(20):
        shown, team_b = results(World(method, gain, 0), random, np.ones(queries // 20, bool))
        temper = random.beta(*TEMPER, size=(len(shown), 1))
        hits = random.random(shown.shape) < shown * EXAMINED * temper
        clicks = hits.sum(axis=1)
        wins += int(np.sign(2 * (hits & team_b).sum(axis=1) - clicks).sum())
        clicked += int((clicks > 0).sum())
    return wins / clicked


def ctr(attraction: np.ndarray, tempers: np.ndarray) -> float:
    """Share of queries with a click, over queries and users."""
    chances = attraction[:, None, :] * EXAMINED * tempers[None, :, None]
    return float(1 - np.prod(1 - chances, axis=2).mean())


@cache
def world_with(method: str, effect: float) -> World:
    """The world in which B is better by about so much, with the effect it really has."""
    if effect == 0:
        return World(method, 0.0, 0.0)
    gain = effect / true_effect(method, 1.0, part=0.1)
    gain *= effect / true_effect(method, gain, part=0.1)
    return World(method, gain, true_effect(method, gain))


def _experiment(share: float, plan: Plan) -> Experiment:
    """A running experiment."""
    arms = Arm("docs-v1-1"), Arm("docs-v2-1")
    phases = (Phase(NOW, share, plan.alpha),)
    method = "interleaving" if plan.metric == PREFERENCE else "split"
    return Experiment("simulated", "docs", method, *arms, "salt", NOW, plan, phases)


def pilot(world: World) -> Baseline:
    """The metric's value and spread, from a log before the experiment.

    Of a split: users of arm A, with the queries of this world. Of interleaving: an earlier
    experiment that found no difference.
    """
    plan = Plan(metric=metric_of(world.method), planned_users=PILOT_USERS)
    if world.method == "interleaving":
        log = simulate(World("interleaving", 0.0, 0.0), _experiment(1.0, plan), PILOT_USERS, [99])
        _, interleaved = per_user(log.columns)
        return baseline_of(ratio(*interleaved.sums[plan.metric]), None)
    log = simulate(world, _experiment(0.0001, plan), PILOT_USERS, [99])
    before, _ = per_user(log.columns)
    return baseline_of(ratio(*before.sums[plan.metric]), None)


def metric_of(method: str) -> str:
    """The primary metric of a method."""
    return PREFERENCE if method == "interleaving" else "ctr"


@dataclass
class Outcome:
    """Verdicts of repeated experiments.

    Attributes:
        verdicts: How often each.
        looks: Of all experiments together, until they ended.
        naive: Experiments in which some look had p < 0.05 without a correction.
        repeats: Experiments.
    """

    verdicts: Counter[str]
    looks: int = 0
    naive: int = 0
    repeats: int = 0

    def share(self, *verdicts: str) -> float:
        """Share of the experiments that ended so."""
        return sum(self.verdicts[verdict] for verdict in verdicts) / self.repeats


def run(world: World, experiment: Experiment, repeats: int, seed: int) -> Outcome:
    """The same experiment again and again, with other users."""
    outcome = Outcome(Counter())
    users = experiment.plan.planned_users
    for number in range(repeats):
        # Another name per repeat: users are assigned anew.
        named = replace(experiment, name=f"simulated-{number}")
        log = simulate(world, named, taking_part(users, named), [seed, number])
        verdict, looks = until_it_ends(named, log)
        outcome.verdicts[verdict] += 1
        outcome.looks += looks
        outcome.repeats += 1
        outcome.naive += world.effect == 0 and peeked(log, experiment.plan.metric)
    return outcome


def taking_part(users: int, experiment: Experiment) -> int:
    """Users of the whole index, until the planned ones have been seen."""
    return users if experiment.method == "split" else math.ceil(users / experiment.share)


def until_it_ends(experiment: Experiment, log: Log) -> tuple[str, int]:
    """Looks at equal distances, until the report says that the experiment is over."""
    verdict = "keep running"
    for look in range(1, LOOKS + 1):
        report = evaluate(experiment, log.until(look / LOOKS), NOW)
        experiment, verdict = report.experiment, report.verdict
        if verdict != "keep running":
            return verdict, look
    return verdict, LOOKS


def peeked(log: Log, metric: str) -> bool:
    """Whether some look would have been "significant" in a test made for a single look."""
    for look in range(1, LOOKS + 1):
        a, b = per_user(log.until(look / LOOKS))
        found = ratio(*b.sums[metric])
        gained = found.value
        error = found.error
        if metric != PREFERENCE:
            compared = difference(ratio(*a.sums[metric]), found)
            gained, error = compared.value, compared.error
        if abs(gained) > 1.96 * error:
            return True
    return False


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        method: How the arms are compared.
        share: Share of arm B, or of interleaved users.
        minimum_effect: What the number of users is planned for.
        factor: True effect, in minimum effects.
        repeats: Experiments.
    """

    method: str
    share: float
    minimum_effect: float
    factor: float
    repeats: int


@dataclass(frozen=True)
class Result:
    """What a case gave.

    Attributes:
        case: It.
        users: Planned users.
        effect: The true effect.
        estimate: Power by `tandem ab power`; for no effect, the error that is allowed.
        outcome: Verdicts.
    """

    case: Case
    users: int
    effect: float
    estimate: float
    outcome: Outcome

    @property
    def found(self) -> float:
        """Share of experiments with a verdict for the better arm; without one, for either."""
        if not self.case.factor:
            return self.outcome.share("A is better", "B is better")
        return self.outcome.share("B is better")

    @property
    def error(self) -> float:
        """Standard error of that share, from the number of repeats."""
        return math.sqrt(max(self.estimate * (1 - self.estimate), 1e-9) / self.case.repeats)

    def row(self) -> str:
        """A line of the table."""
        case, outcome = self.case, self.outcome
        naive = f"{100 * outcome.naive / outcome.repeats:.1f} %" if not case.factor else ""
        cells = [
            case.method,
            f"{100 * case.share:g} %",
            f"{self.users:,}",
            f"{self.effect:.4f}",
            f"{outcome.repeats:,}",
            f"{100 * self.estimate:.1f} %",
            f"{100 * self.found:.1f} % ± {100 * self.error:.1f}",
            f"{outcome.looks / outcome.repeats:.1f}",
            naive,
        ]
        return "| " + " | ".join(cells) + " |"


def cases(nulls: int, repeats: int) -> list[Case]:
    """For both methods no difference and three sizes of one; then a small share of users."""
    found = []
    for method, share, effect in (("split", 0.5, 0.05), ("interleaving", 1.0, 0.08)):
        found.append(Case(method, share, effect, 0.0, nulls))
        found += [Case(method, share, effect, factor, repeats) for factor in (0.75, 1.0, 1.25)]
    return [
        *found,
        Case("split", 0.1, 0.08, 0.0, nulls // 2),
        Case("split", 0.1, 0.08, 1.0, repeats),
    ]


def measure(case: Case, seed: int) -> Result:
    """Plan an experiment as `tandem ab start` does, then run it again and again."""
    world = world_with(case.method, case.factor * case.minimum_effect)
    plan = Plan(metric=metric_of(case.method), minimum_effect=case.minimum_effect)
    baseline = pilot(world)
    users = plan_users(plan, case.method, case.share, baseline).users
    users = LOOKS * math.ceil(users / LOOKS)
    plan = replace(plan, planned_users=users)
    estimate = plan.alpha
    if case.factor:
        estimate = power_with(
            users, world.effect, plan, method=case.method, share=case.share, baseline=baseline
        )
    outcome = run(world, _experiment(case.share, plan), case.repeats, seed)
    return Result(case, users, world.effect, estimate, outcome)


_HEAD = """\
| method | share | planned users | true difference | experiments | promised | found | looks | \
p < 0.05 at some look |
|---|---|---|---|---|---|---|---|---|
"""

_PAGE = """\
# Does `tandem ab report` keep its promises?

{repeats:,} simulated experiments, ten looks each, every one of them reported on until the report
said to stop. "Promised" is the error that is allowed where the arms do not differ (5 %), and the
power that `tandem ab power` states where they do; "found" is the share of experiments that ended
with an arm being better, with the standard error of the simulation. The last column shows what the
same looks would have led to with an ordinary test.

```
{command}
```

{table}
Largest distance between promised and found power: {distance:.1f} points.
Differences that do not exist: found in {pooled:.1f} % of all experiments without one, in
{highest:.1f} % of those of the highest row.

Users come with one or more sessions of some queries; they differ in how readily they click, and
look at a position the less the lower it stands. Arm B reorders arm A's results: at random for no
difference, or with the best document first in some of the queries. The number of users was planned
for one size of difference ({planned}), from the spread
between users in a log before the experiment. Assignment, team draft, sums per user, statistics,
verdicts and power are the code of `tandem ab`. The promised power leaves out two small things that
lower it: one of 150 or so experiments ends with a false alarm of the sample-ratio check, and
experiments without prospects are stopped early ("futile").

{seconds:.0f} s on one core ({machine}, Python {python}, NumPy {numpy}).
"""


def main() -> None:
    """Run all cases and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--output", type=Path, help="Write the page here instead of printing it.")
    parser.add_argument("--nulls", type=int, default=3000, help="Repeats without a difference.")
    parser.add_argument("--repeats", type=int, default=600, help="Repeats with one, per size.")
    parser.add_argument("--seed", type=int, default=13)
    options = parser.parse_args()
    began = time.process_time()
    results = []
    for number, case in enumerate(cases(options.nulls, options.repeats)):
        results.append(measure(case, options.seed + number))
        print(results[-1].row(), dict(results[-1].outcome.verdicts), file=sys.stderr, flush=True)
    page = page_of(results, options, time.process_time() - began)
    if options.output:
        options.output.write_text(page, encoding="utf-8")
    else:
        print(page)


def page_of(results: list[Result], options: argparse.Namespace, seconds: float) -> str:
    """The documentation page."""
    with_effect = [result for result in results if result.case.factor]
    without = [result for result in results if not result.case.factor]
    command = (
        f"python benchmarks/ab_simulator.py --output docs/ab-simulator.md --nulls {options.nulls}"
    )
    planned = sorted({(r.case.method, r.case.minimum_effect, r.case.share) for r in results})
    return _PAGE.format(
        repeats=sum(result.outcome.repeats for result in results),
        command=f"{command} --repeats {options.repeats} --seed {options.seed}",
        table=_HEAD + "".join(result.row() + "\n" for result in results),
        distance=max(100 * abs(result.found - result.estimate) for result in with_effect),
        highest=max(100 * result.found for result in without),
        pooled=100
        * sum(result.found * result.outcome.repeats for result in without)
        / sum(result.outcome.repeats for result in without),
        planned=", ".join(f"{m} at {100 * s:g} %: {e:g}" for m, e, s in planned),
        seconds=seconds,
        machine=platform.machine(),
        python=platform.python_version(),
        numpy=np.__version__,
    )


if __name__ == "__main__":
    main()
