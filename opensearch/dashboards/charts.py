"""A chart, said once: the form Dashboards wants, and the search that answers the same question.

Dashboards itself asks the cluster for what a chart's aggregations say. The same aggregations can be
sent by hand, so that a test proves each chart against a real cluster.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["line", "table", "metric"]
Statistic = Literal["avg", "sum", "max"]

# Chosen by Dashboards from the time range; by hand a fixed one does.
_BY_HAND = "1d"


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart over a measurement index.

    Attributes:
        key: Part of its id.
        title: Shown above it.
        kind: ``line`` over time, ``table`` of groups, or ``metric``.
        index: The index it reads.
        values: Field and statistic of each number shown.
        by: Field that splits it into lines or rows.
        query: Restriction in the query language of Dashboards (DQL), empty for none.
    """

    key: str
    title: str
    kind: Kind
    index: str
    values: tuple[tuple[str, Statistic], ...]
    by: str | None = None
    query: str = ""

    def vis_state(self) -> str:
        """The chart as Dashboards stores it: JSON in a string."""
        state = {
            "title": self.title,
            "type": self.kind,
            "aggs": self._aggregations(),
            "params": _PARAMETERS[self.kind] | self._series(),
        }
        return json.dumps(state)

    def search_body(self) -> dict[str, Any]:
        """The same question as a search request."""
        numbers: dict[str, Any] = {
            f"{statistic}_{field}": {statistic: {"field": field}}
            for field, statistic in self.values
        }
        if self.by is not None:
            terms = {"field": self.by, "size": _MOST_GROUPS}
            numbers = {"groups": {"terms": terms, "aggs": numbers}}
        if self.kind == "line":
            histogram = {"field": "@timestamp", "fixed_interval": _BY_HAND, "min_doc_count": 1}
            numbers = {"times": {"date_histogram": histogram, "aggs": numbers}}
        body: dict[str, Any] = {"size": 0, "aggs": numbers}
        if self.query:
            body["query"] = {"query_string": {"query": self.query}}
        return body

    def _aggregations(self) -> list[dict[str, Any]]:
        parts = [
            _part(n, statistic, "metric", {"field": field})
            for n, (field, statistic) in enumerate(self.values, start=1)
        ]
        if self.kind == "line":
            segment = {"field": "@timestamp", "interval": "auto", "min_doc_count": 1}
            parts.append(_part(len(parts) + 1, "date_histogram", "segment", segment))
        if self.by is not None:
            groups = {"field": self.by, "orderBy": "_key", "order": "asc", "size": _MOST_GROUPS}
            schema = "group" if self.kind == "line" else "bucket"
            parts.append(_part(len(parts) + 1, "terms", schema, groups))
        return parts

    def _series(self) -> dict[str, Any]:
        if self.kind != "line":
            return {}
        series = [
            {
                "show": True,
                "type": "line",
                "mode": "normal",
                "data": {"label": f"{statistic} {field}", "id": str(n)},
                "valueAxis": "ValueAxis-1",
                "drawLinesBetweenPoints": True,
                "showCircles": True,
            }
            for n, (field, statistic) in enumerate(self.values, start=1)
        ]
        return {"seriesParams": series}


_MOST_GROUPS = 20


def _part(number: int, kind: str, schema: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": str(number),
        "enabled": True,
        "type": kind,
        "schema": schema,
        "params": dict(params),
    }


_PARAMETERS: Mapping[Kind, dict[str, Any]] = {
    "line": {
        "type": "line",
        "grid": {"categoryLines": False},
        "categoryAxes": [
            {
                "id": "CategoryAxis-1",
                "type": "category",
                "position": "bottom",
                "show": True,
                "scale": {"type": "linear"},
                "labels": {"show": True, "filter": True, "truncate": 100},
                "title": {},
            }
        ],
        "valueAxes": [
            {
                "id": "ValueAxis-1",
                "name": "LeftAxis-1",
                "type": "value",
                "position": "left",
                "show": True,
                "scale": {"type": "linear", "mode": "normal"},
                "labels": {"show": True, "rotate": 0, "filter": False, "truncate": 100},
                "title": {"text": ""},
            }
        ],
        "addTooltip": True,
        "addLegend": True,
        "legendPosition": "right",
        "times": [],
        "addTimeMarker": False,
    },
    "table": {
        "perPage": 10,
        "showPartialRows": False,
        "showMetricsAtAllLevels": False,
        "showTotal": False,
        "totalFunc": "sum",
    },
    "metric": {
        "addTooltip": True,
        "addLegend": False,
        "type": "metric",
        "metric": {
            "percentageMode": False,
            "colorSchema": "Green to Red",
            "metricColorMode": "None",
            "colorsRange": [{"from": 0, "to": 10000}],
            "labels": {"show": True},
            "style": {"fontSize": 40},
        },
    },
}
