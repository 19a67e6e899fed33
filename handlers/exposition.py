"""Count what the ASGI application does, and show it to Prometheus.

If ``PROMETHEUS_MULTIPROC_DIR`` is set when this module is imported, the counts of all workers are
in files of that folder, and each worker shows the sum.
"""

import os
from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from handlers.service import Answer

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_CHILDREN = 16
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_MILLISECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_ROWS = (1, 2, 4, 8, 16, 32, 64)
_UNKNOWN_USER, _POPULAR = "unknown_user", "popular"


class Exposition:
    """The metrics of one application."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        named = ["model", "digest"]
        self._requests = Counter(
            "ncf_requests", "Users answered.", [*named, "policy", "code"], registry=registry
        )
        self._unknown = Counter(
            "ncf_unknown_users", "Of them, strangers.", named, registry=registry
        )
        self._score = Histogram(
            "ncf_score_milliseconds",
            "Time to score a batch.",
            named,
            registry=registry,
            buckets=_MILLISECONDS,
        )
        self._rows = Histogram(
            "ncf_batch_rows", "Rows of a batch.", named, registry=registry, buckets=_ROWS
        )
        self._seconds = Histogram(
            "ncf_answer_seconds",
            "Time from a body that is read to its answer.",
            registry=registry,
            buckets=_SECONDS,
        )
        self._refused = Counter(
            "ncf_refused", "Requests refused before scoring.", ["status"], registry=registry
        )
        self._repeated = Counter(
            "ncf_repeated", "Of them, by a remembered answer.", named, registry=registry
        )
        self._reloads = Counter(
            "ncf_reloads", "New bundles found.", ["model", "outcome"], registry=registry
        )
        self._serving = Gauge(
            "ncf_serving",
            "Workers that answer with a bundle.",
            named,
            registry=registry,
            multiprocess_mode="livesum",
        )
        # To find a counter by its labels takes longer than to count.
        self._answered_ok = lru_cache(_CHILDREN)(lambda *of: self._requests.labels(*of, "ok"))
        self._repeated_of = lru_cache(_CHILDREN)(self._repeated.labels)
        self._shown: set[tuple[str, str]] = set()
        self._registry = registry
        if folder := os.environ.get(_FOLDER):
            self._registry = CollectorRegistry()
            MultiProcessCollector(self._registry, folder)  # type: ignore[no-untyped-call]

    def record(self, model: str, digest: str, answers: Sequence[Answer], seconds: float) -> None:
        """Count the answers of a batch, and the seconds that scoring took."""
        rows = [each for row in answers for each in row.parts or (row,)]
        for (policy, code), count in Tally((each.policy, each.code) for each in rows).items():
            self._requests.labels(model, digest, policy, code).inc(count)
        unknown = sum(each.policy == _POPULAR or each.code == _UNKNOWN_USER for each in rows)
        if unknown:
            self._unknown.labels(model, digest).inc(unknown)
        self._score.labels(model, digest).observe(1000 * seconds)
        self._rows.labels(model, digest).observe(len(rows))

    def repeated(self, model: str, digest: str, policy: str) -> None:
        """Count a user who was given an answer that was remembered."""
        self._answered_ok(model, digest, policy).inc()
        self._repeated_of(model, digest).inc()
        if policy == _POPULAR:
            self._unknown.labels(model, digest).inc()

    def answered(self, seconds: float) -> None:
        """Record how long a client waited."""
        self._seconds.observe(seconds)

    def refused(self, status: int) -> None:
        """Count a request that was refused before scoring."""
        self._refused.labels(str(status)).inc()

    def reloaded(self, model: str, digest: str, outcome: str) -> None:
        """Count a new bundle; see :class:`handlers.models.Recorder`."""
        del digest
        self._reloads.labels(model, outcome).inc()

    def serving(self, models: Iterable[tuple[str, str]]) -> None:
        """Show which bundles answer: pairs of a name and a short digest."""
        now = set(models)
        for each in self._shown - now:
            self._serving.labels(*each).set(0)
        for each in now:
            self._serving.labels(*each).set(1)
        self._shown |= now

    def show(self) -> bytes:
        """Write all metrics as Prometheus' text."""
        text: bytes = generate_latest(self._registry)
        return text
