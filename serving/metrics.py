"""What Prometheus reads."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from serving.batcher import BatchReport

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_TASK = ("encoder", "side")


class Metrics:
    """Counters of one server; each has a registry of its own, so that two can live side by side."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "tandem_requests", "Requests answered.", ("route", "status"), registry=registry
        )
        self._latency = Histogram(
            "tandem_request_seconds",
            "From a request's first byte to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "tandem_batch_texts", "Texts in one batch.", _TASK, buckets=_TEXTS, registry=registry
        )
        self._seconds = Counter(
            "tandem_encoder_seconds", "Time spent in an encoder.", _TASK, registry=registry
        )
        self._tokens = Counter("tandem_tokens", "Tokens encoded.", _TASK, registry=registry)
        self._cut = Counter(
            "tandem_cut_texts", "Texts longer than the encoder reads.", _TASK, registry=registry
        )
        self._refused = Counter(
            "tandem_refused", "Requests refused, by reason.", ("reason",), registry=registry
        )
        self._queue = Gauge("tandem_queue_texts", "Texts that wait.", _TASK, registry=registry)
        self._active = Gauge("tandem_requests_in_flight", "Requests in work.", registry=registry)

    def request(self, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        self._requests.labels(route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def batch(self, kind: str, side: str, report: BatchReport) -> None:
        """One batch was encoded."""
        self._batches.labels(kind, side).observe(report.texts)
        self._seconds.labels(kind, side).inc(report.seconds)
        self._tokens.labels(kind, side).inc(report.tokens)

    def cut(self, kind: str, side: str, texts: int) -> None:
        """So many texts were longer than the encoder reads."""
        self._cut.labels(kind, side).inc(texts)

    def refused(self, reason: str) -> None:
        """A request was refused."""
        self._refused.labels(reason).inc()

    def page(self, waiting: dict[tuple[str, str], int], active: int) -> bytes:
        """The text Prometheus reads, with the gauges set to what is so now."""
        for (kind, side), texts in waiting.items():
            self._queue.labels(kind, side).set(texts)
        self._active.set(active)
        return generate_latest(self.registry)
