"""The dashboard this project brings: search quality over time, and what the server does."""

from opensearch.dashboards.charts import Chart
from opensearch.dashboards.saved_objects import (
    Panel,
    SavedObject,
    dashboard,
    index_pattern,
    saved_search,
    visualization,
)
from opensearch.measurements import QUALITY_INDEX, SERVING_INDEX

CHARTS = (
    Chart(
        "ndcg",
        "NDCG@10 over time, by mode",
        "line",
        QUALITY_INDEX,
        (("ndcg_10", "avg"),),
        by="mode",
    ),
    Chart(
        "modes",
        "Quality and latency of each mode",
        "table",
        QUALITY_INDEX,
        (("ndcg_10", "avg"), ("recall_100", "avg"), ("mrr_10", "avg"), ("p95_ms", "avg")),
        by="mode",
    ),
    Chart(
        "search-latency",
        "Search latency, 95th percentile in ms, by mode",
        "line",
        QUALITY_INDEX,
        (("p95_ms", "avg"),),
        by="mode",
    ),
    Chart(
        "encoder-latency",
        "Encoder server: latency, 95th percentile in ms, by route",
        "line",
        SERVING_INDEX,
        (("p95_ms", "max"),),
        by="route",
    ),
    Chart(
        "encoder-requests",
        "Encoder server: requests, errors and refusals",
        "line",
        SERVING_INDEX,
        (("requests", "sum"), ("errors", "sum"), ("refused", "sum")),
    ),
    Chart("encoder-tokens", "Tokens encoded", "metric", SERVING_INDEX, (("tokens", "sum"),)),
)

_PLACES = ((0, 0, 24, 15), (24, 0, 24, 15), (0, 15, 24, 15), (24, 15, 24, 15), (0, 30, 36, 15))
_LAST = (36, 30, 12, 15)


def board(indices: tuple[str, ...] = ()) -> list[SavedObject]:
    """Every saved object, those that are named before those that name them.

    Args:
        indices: Search indices to bring a pattern and a saved search for.
    """
    patterns = {name: index_pattern(f"{name}*") for name in (QUALITY_INDEX, SERVING_INDEX)}
    charts = [visualization(chart, patterns[chart.index]) for chart in CHARTS]
    panels = [Panel(shown, *place) for shown, place in zip(charts, (*_PLACES, _LAST), strict=True)]
    evaluations = saved_search(
        "evaluations",
        "Tandem: evaluations",
        patterns[QUALITY_INDEX],
        ("index", "set", "mode", "ndcg_10", "difference", "p_holm", "verdict", "p95_ms"),
        "@timestamp",
    )
    own = [entry for name in indices for entry in _of_index(name)]
    page = dashboard(
        "quality",
        "Tandem: search quality and latency",
        "From `tandem evaluate --store` and `tandem serve --store`.",
        panels,
    )
    return [*patterns.values(), *own, *charts, evaluations, page]


def _of_index(name: str) -> list[SavedObject]:
    pattern = index_pattern(name, time_field=None)
    columns = ("title", "text", "doc_id")
    return [
        pattern,
        saved_search(f"passages-{name}", f"Passages of {name}", pattern, columns, None),
    ]
