"""A plan as tables and as explained bills."""

from collections.abc import Callable, Iterator, Sequence

from operations.planning.planner import Cost, Plan
from operations.planning.sizing import Line, total

_KIB = 1024.0


def table(plan: Plan) -> tuple[list[str], list[list[str]]]:
    """Heads and rows, one for each candidate."""
    gpu = any(cost.gpu_encode_s is not None for cost in plan.costs)
    heads = ["candidate", "disk", "memory", "encode", "build", "query"]
    if gpu:
        heads.insert(4, "encode, GPU")
    return heads, [_row(cost, gpu=gpu) for cost in plan.costs]


def strategy_table(cost: Cost) -> tuple[list[str], list[list[str]]]:
    """The three ways to a candidate."""
    heads = ["re-index", "time", "searches wait", "extra disk", ""]
    rows = [
        [s.strategy, duration(s.seconds), duration(s.outage_s), volume(s.extra_bytes), s.note]
        for s in cost.strategies
    ]
    return heads, rows


def explanation(cost: Cost) -> Iterator[str]:
    """Every line of a candidate's bills with its formula."""
    yield cost.candidate.label + ("" if cost.candidate.buildable else "  (formula only)")
    copies = cost.candidate.copies
    yield from _bill(f"disk, one copy of {copies}", cost.disk, volume)
    yield from _bill("memory", cost.memory, volume)
    yield from _bill("build, its parts one by one", cost.building, duration)
    yield from _bill("one query reads at most", cost.query, _count)
    for strategy in cost.strategies:
        yield f"  {strategy.strategy}: {duration(strategy.seconds)} = {strategy.formula}"


def volume(size: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < _KIB or unit == "TiB":
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= _KIB
    raise AssertionError  # the loop returns


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 120:
        return f"{seconds:,.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:,.1f} min"
    return f"{seconds / 3600:,.1f} h"


def _row(cost: Cost, *, gpu: bool) -> list[str]:
    mark = "" if cost.candidate.buildable else " *"
    row = [
        cost.candidate.label + mark,
        volume(cost.disk_bytes),
        volume(cost.memory_bytes),
        "?" if cost.encode_s is None else duration(cost.encode_s),
        duration(cost.build_s) + ("" if cost.encode_s is not None else " + encoding"),
        "?" if cost.query_ms is None else f"{cost.query_ms:.1f} ms",
    ]
    if gpu:
        row.insert(4, "" if cost.gpu_encode_s is None else duration(cost.gpu_encode_s))
    return row


def _bill(title: str, lines: Sequence[Line], unit: Callable[[float], str]) -> Iterator[str]:
    yield f"  {title}: {unit(total(lines))}"
    for line in lines:
        yield f"    {line.what:<34} {unit(line.amount):>12}  = {line.formula}"


def _count(amount: float) -> str:
    return f"{amount:,.0f}"
