"""A model server for tests: real wire formats over encoders that are handed in."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from encoders.base import DenseEncoder, SparseEncoder, named_weights


@dataclass
class ModelServer:
    """What it serves, and what it was asked.

    Attributes:
        dense: Behind ``/dense``, ``/v1/embeddings`` and ``/embed``.
        sparse: Behind ``/sparse``.
        key: The bearer token it wants.
        requests: Path, headers and body of every request.
        url: Its address.
    """

    dense: DenseEncoder | None = None
    sparse: SparseEncoder | None = None
    key: str | None = None
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, headers: dict[str, str], body: Any) -> tuple[int, Any]:
        self.requests.append((path, headers, body))
        if self.key is not None and headers.get("authorization") != f"Bearer {self.key}":
            return 401, {"detail": "wrong or missing bearer token"}
        routes: dict[str, Callable[[Any], Any]] = {
            "/dense": lambda b: self._vectors(b["texts"], b["content_type"]),
            "/embed": lambda b: self._vectors(b["inputs"]),
            "/v1/embeddings": lambda b: {
                "data": [
                    {"index": i, "embedding": row}
                    for i, row in enumerate(self._vectors(b["input"]))
                ]
            },
            "/sparse": self._weights,
            "/rerank": self._rerank,
            "/v1/rerank": self._rerank,
        }
        route = routes.get(path)
        return (200, route(body)) if route else (404, {"detail": "no such path"})

    def _vectors(self, texts: Sequence[str], side: str = "passage") -> list[list[float]]:
        assert self.dense is not None
        encode = self.dense.encode_queries if side == "query" else self.dense.encode_documents
        rows: list[list[float]] = encode(texts).tolist()
        return rows

    def _weights(self, body: Any) -> list[dict[str, float]]:
        encoder = self.sparse
        assert encoder is not None
        query = body["input_type"] == "query"
        encode = encoder.encode_queries if query else encoder.encode_documents
        vectors = encode(body["texts"])
        if body["format"] == "TOKEN_ID":
            return [
                {str(i): w for i, w in zip(v.ids.tolist(), v.weights.tolist(), strict=True)}
                for v in vectors
            ]
        return [named_weights(encoder, vector) for vector in vectors]

    def _rerank(self, body: Any) -> Any:
        """Shared words count; best first, as real servers answer."""
        texts = body["documents"] if "documents" in body else body["texts"]
        words = set(body["query"].lower().split())
        scores = [float(len(words & set(text.lower().split()))) for text in texts]
        order = sorted(range(len(texts)), key=lambda i: -scores[i])
        if "texts" in body:
            return [{"index": i, "score": scores[i]} for i in order]
        return {"results": [{"index": i, "relevance_score": scores[i]} for i in order]}


@contextmanager
def serving(server: ModelServer) -> Iterator[ModelServer]:
    """Run a model server on a free port of the loopback address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def do_POST(self) -> None:  # named by the base class
            length = int(self.headers.get("content-length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = server.answer(
                self.path, headers, json.loads(self.rfile.read(length) or b"null")
            )
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join(5)
