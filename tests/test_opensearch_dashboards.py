"""Saved objects, Dev Tools queries and measurements: their form, without a cluster."""

import email
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from encoders.base import EncoderIdentity
from opensearch.cli.root import main
from opensearch.dashboards.board import CHARTS, board
from opensearch.dashboards.devtools import devtools_file, devtools_queries
from opensearch.dashboards.importing import import_objects
from opensearch.dashboards.saved_objects import to_ndjson
from opensearch.errors import SearchBackendError, SettingsError
from opensearch.fusion import Fusion
from opensearch.index_info import IndexInfo
from opensearch.measurements import QUALITY_INDEX, SERVING_INDEX, measurement_body
from opensearch.model_queries import QueryModels

SOURCE = "kibanaSavedObjectMeta"
INFO = IndexInfo(
    "docs",
    "docs-v0-1",
    {"latin": "english"},
    EncoderIdentity("dense", "m", "f" * 8, 8),
    EncoderIdentity("sparse", "s", "e" * 8, 30522),
)


def objects() -> list[dict]:
    return [json.loads(line) for line in to_ndjson(board(("docs", "faq"))).splitlines()]


def test_every_reference_resolves_and_comes_first() -> None:
    seen: set[tuple[str, str]] = set()
    for entry in objects():
        for reference in entry["references"]:
            assert (reference["type"], reference["id"]) in seen, entry["id"]
        seen.add((entry["type"], entry["id"]))
    assert len(seen) == len(objects())
    kinds = [kind for kind, _ in seen]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "index-pattern": 4,
        "search": 3,
        "visualization": 6,
        "dashboard": 1,
    }


def test_objects_have_the_keys_of_their_type() -> None:
    needed = {
        "index-pattern": {"title"},
        "search": {"title", "columns", "sort", SOURCE},
        "visualization": {"title", "visState", "uiStateJSON", SOURCE},
        "dashboard": {"title", "panelsJSON", "optionsJSON", SOURCE},
    }
    for entry in objects():
        assert set(entry) == {"id", "type", "attributes", "references"}
        assert needed[entry["type"]] <= set(entry["attributes"])


def test_json_inside_strings_names_its_index_by_reference() -> None:
    for entry in objects():
        attributes = entry["attributes"]
        if SOURCE not in attributes:
            continue
        source = json.loads(attributes[SOURCE]["searchSourceJSON"])
        assert source["query"]["language"] == "kuery"
        names = {reference["name"] for reference in entry["references"]}
        if entry["type"] != "dashboard":
            assert source["indexRefName"] in names


def test_panels_show_their_references_and_do_not_overlap() -> None:
    (page,) = [entry for entry in objects() if entry["type"] == "dashboard"]
    panels = json.loads(page["attributes"]["panelsJSON"])
    assert [panel["panelRefName"] for panel in panels] == [r["name"] for r in page["references"]]
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridData"]
        assert place["x"] + place["w"] <= 48
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells
        cells |= own


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.key)
def test_charts_read_fields_that_are_there(chart) -> None:
    fields = measurement_body(chart.index)["mappings"]["properties"]
    state = json.loads(chart.vis_state())
    used = {part["params"]["field"] for part in state["aggs"]}
    assert used <= set(fields)
    numbers = [part["id"] for part in state["aggs"]]
    assert numbers == [str(n) for n in range(1, len(numbers) + 1)]
    asked = json.dumps(chart.search_body())
    assert all(f'"field": "{field}"' in asked for field in used)


def test_measurement_indices_ignore_what_they_do_not_know() -> None:
    for index in (QUALITY_INDEX, SERVING_INDEX):
        assert measurement_body(index)["mappings"]["dynamic"] is False


def test_queries_stand_as_dev_tools_reads_them() -> None:
    models = QueryModels(dense="dense-id", sparse="sparse-id")
    text = devtools_file(devtools_queries(INFO, models, Fusion(), 'a "quoted" query'))
    for block in text.strip().split("\n\n"):
        title, request, *body = block.splitlines()
        assert title.startswith("# ")
        assert request.split()[0] in ("GET", "POST")
        assert json.loads("\n".join(body) or "{}") is not None
    assert "dense-id" in text
    assert "sparse-id" in text


@pytest.mark.parametrize(
    ("models", "count"),
    [(QueryModels(), 2), (QueryModels(dense="d"), 7), (QueryModels(dense="d", sparse="s"), 8)],
)
def test_modes_without_a_model_are_left_out(models: QueryModels, count: int) -> None:
    assert len(devtools_queries(INFO, models, Fusion(), "x")) == count


def test_the_command_writes_the_file(tmp_path: Path) -> None:
    output = tmp_path / "tandem.ndjson"
    result = CliRunner().invoke(
        main, ["dashboards", "export", "--index", "docs", "-o", str(output)]
    )
    assert result.exit_code == 0, result.output
    assert output.read_text(encoding="utf-8") == to_ndjson(board(("docs",)))


class FakeDashboards:
    """Takes imports, or answers what it is told to."""

    def __init__(self) -> None:
        self.status = 200
        self.answer: object = None
        self.headers: dict[str, str] = {}
        self.path = ""
        self.objects: list[dict] = []
        self.url = ""


@pytest.fixture
def running() -> Iterator[FakeDashboards]:
    fake = FakeDashboards()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            fake.path = self.path
            fake.headers = {k.lower(): v for k, v in self.headers.items()}
            raw = self.rfile.read(int(self.headers["content-length"]))
            head = f"Content-Type: {self.headers['content-type']}\n\n".encode()
            (part,) = email.message_from_bytes(head + raw).get_payload()
            content = part.get_payload(decode=True).decode()
            fake.objects = [json.loads(line) for line in content.splitlines()]
            answer = {"success": True, "successCount": len(fake.objects)}
            data = json.dumps(fake.answer or answer).encode()
            self.send_response(fake.status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    yield fake
    server.shutdown()
    server.server_close()


def test_importing_sends_what_dashboards_wants(
    running: FakeDashboards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_DASHBOARDS_USER", "admin")
    monkeypatch.setenv("TANDEM_DASHBOARDS_PASSWORD", "hidden")
    result = CliRunner().invoke(main, ["dashboards", "import", "--dashboards-url", running.url])
    assert result.exit_code == 0, result.output
    assert result.output == f"{len(running.objects)} objects imported.\n"
    assert running.path == "/api/saved_objects/_import?overwrite=true"
    assert running.headers["osd-xsrf"] == "true"
    assert running.headers["authorization"].startswith("Basic ")
    assert running.objects == [json.loads(line) for line in to_ndjson(board()).splitlines()]


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (401, None, "refused the login"),
        (200, {"hello": 1}, "did not answer like Dashboards"),
        (
            200,
            {
                "success": False,
                "successCount": 2,
                "errors": [{"id": "tandem-chart-x", "error": {"type": "missing_references"}}],
            },
            "tandem-chart-x: missing_references",
        ),
    ],
)
def test_refusals_are_passed_on(
    running: FakeDashboards, status: int, answer: object, message: str
) -> None:
    running.status, running.answer = status, answer
    with pytest.raises(SearchBackendError, match=message):
        import_objects(running.url, to_ndjson(board()))


def test_nobody_there_and_no_address() -> None:
    with pytest.raises(SearchBackendError, match="cannot be reached"):
        import_objects("http://127.0.0.1:9", "{}")
    with pytest.raises(SettingsError, match="no address"):
        import_objects("localhost:5601", "{}")
