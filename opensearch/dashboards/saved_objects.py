"""Saved objects of OpenSearch Dashboards: pure builders, and the file form (one JSON per line)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opensearch.dashboards.charts import Chart

_SEARCH_SOURCE = "kibanaSavedObjectMeta"
_INDEX_REFERENCE = f"{_SEARCH_SOURCE}.searchSourceJSON.index"


@dataclass(frozen=True, slots=True)
class Reference:
    """One object naming another.

    Attributes:
        name: What it is called inside the object.
        type: Type of the other.
        id: Id of the other.
    """

    name: str
    type: str
    id: str


@dataclass(frozen=True, slots=True)
class SavedObject:
    """One object.

    Attributes:
        type: ``index-pattern``, ``search``, ``visualization`` or ``dashboard``.
        id: Stable, so that importing again replaces rather than adds.
        attributes: Its content; parts of it are JSON inside strings.
        references: Objects it names.
    """

    type: str
    id: str
    attributes: Mapping[str, Any]
    references: tuple[Reference, ...] = field(default=())

    def line(self) -> str:
        """The object as one line of an export file."""
        value = {
            "id": self.id,
            "type": self.type,
            "attributes": dict(self.attributes),
            "references": [
                {"name": entry.name, "type": entry.type, "id": entry.id}
                for entry in self.references
            ],
        }
        return json.dumps(value, ensure_ascii=False)


def to_ndjson(objects: Iterable[SavedObject]) -> str:
    """The file that Dashboards imports."""
    return "".join(f"{entry.line()}\n" for entry in objects)


def index_pattern(title: str, time_field: str | None = "@timestamp") -> SavedObject:
    """A pattern of index names that Dashboards may read."""
    attributes = {"title": title, **({"timeFieldName": time_field} if time_field else {})}
    return SavedObject("index-pattern", pattern_id(title), attributes)


def pattern_id(title: str) -> str:
    """Id of the pattern of a title."""
    return f"tandem-pattern-{title.rstrip('*').strip('-')}"


def saved_search(
    key: str, title: str, pattern: SavedObject, columns: Sequence[str], sort: str | None
) -> SavedObject:
    """A list of documents: columns of a pattern, newest first where there is a time."""
    attributes = {
        "title": title,
        "description": "",
        "columns": [*columns],
        "sort": [[sort, "desc"]] if sort else [],
        "version": 1,
        _SEARCH_SOURCE: {"searchSourceJSON": _search_source("", indexed=True)},
    }
    return SavedObject("search", f"tandem-search-{key}", attributes, (_reads(pattern),))


def visualization(chart: Chart, pattern: SavedObject) -> SavedObject:
    """A chart over a pattern."""
    attributes = {
        "title": chart.title,
        "visState": chart.vis_state(),
        "uiStateJSON": "{}",
        "description": "",
        "version": 1,
        _SEARCH_SOURCE: {"searchSourceJSON": _search_source(chart.query, indexed=True)},
    }
    return SavedObject("visualization", f"tandem-chart-{chart.key}", attributes, (_reads(pattern),))


@dataclass(frozen=True, slots=True)
class Panel:
    """A place on a dashboard's grid of 48 columns.

    Attributes:
        shown: The object in it.
        x: First column.
        y: First row.
        width: In columns.
        height: In rows.
    """

    shown: SavedObject
    x: int
    y: int
    width: int
    height: int


def dashboard(key: str, title: str, description: str, panels: Sequence[Panel]) -> SavedObject:
    """Panels on a page; the last thirty days, unless the reader chooses otherwise."""
    attributes = {
        "title": title,
        "hits": 0,
        "description": description,
        "panelsJSON": json.dumps([_panel(n, panel) for n, panel in enumerate(panels)]),
        "optionsJSON": json.dumps({"hidePanelTitles": False, "useMargins": True}),
        "version": 1,
        "timeRestore": True,
        "timeFrom": "now-30d",
        "timeTo": "now",
        _SEARCH_SOURCE: {"searchSourceJSON": _search_source("", indexed=False)},
    }
    shown = tuple(
        Reference(f"panel_{n}", panel.shown.type, panel.shown.id) for n, panel in enumerate(panels)
    )
    return SavedObject("dashboard", f"tandem-dashboard-{key}", attributes, shown)


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    place = {"x": panel.x, "y": panel.y, "w": panel.width, "h": panel.height, "i": str(number)}
    return {
        "version": "3.0.0",
        "gridData": place,
        "panelIndex": str(number),
        "embeddableConfig": {},
        "panelRefName": f"panel_{number}",
    }


def _search_source(query: str, *, indexed: bool) -> str:
    source: dict[str, Any] = {"query": {"language": "kuery", "query": query}, "filter": []}
    if indexed:
        source["indexRefName"] = _INDEX_REFERENCE
    return json.dumps(source)


def _reads(pattern: SavedObject) -> Reference:
    return Reference(_INDEX_REFERENCE, "index-pattern", pattern.id)
