"""Record counts and times for TorchServe's metrics endpoint, a few lines a batch.

TorchServe shows them with ``metrics_mode=prometheus`` and ``model_metrics_auto_detect=true``,
which ``ncf serve`` sets; without these it drops them.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from handlers.service import Answer

logger = logging.getLogger(__name__)

REQUESTS = "ncf_requests_total"
UNKNOWN_USERS = "ncf_unknown_users_total"
SCORE_TIME = "ncf_score_milliseconds"
BATCH_ROWS = "ncf_batch_rows"

# Type, unit and labels of each metric. Prometheus' default buckets go from 0.005 to 10, which
# suits milliseconds of scoring and the rows of a batch.
SPECIFICATION: dict[str, tuple[str, str, tuple[str, ...]]] = {
    REQUESTS: ("counter", "count", ("policy", "code", "digest")),
    UNKNOWN_USERS: ("counter", "count", ("digest",)),
    SCORE_TIME: ("histogram", "ms", ("digest",)),
    BATCH_ROWS: ("histogram", "count", ("digest",)),
}
_UNKNOWN_USER = "unknown_user"


class _Metric(Protocol):
    """The part of a TorchServe metric that is used here."""

    def add_or_update(self, value: float, dimension_values: list[str]) -> None:
        """Add to a counter, or observe a value."""


class Metrics:
    """The metrics of one model.

    Parameters
    ----------
    cache : object
        TorchServe's ``context.metrics``.
    digest : str
        Short digest of the bundle, a label of every metric.
    """

    def __init__(self, cache: Any, digest: str) -> None:  # noqa: ANN401 - a class of TorchServe
        self._digest = digest
        self._metrics = {name: _open(cache, name) for name in SPECIFICATION}
        self._writer = ThreadPoolExecutor(1, "ncf-metrics")

    def record(self, answers: Sequence[Answer], seconds: float) -> None:
        """Record a batch and the seconds that its scoring took, on a thread of its own."""
        self._writer.submit(self._write_or_log, answers, seconds)

    def close(self) -> None:
        """Write the waiting records, and end the thread."""
        self._writer.shutdown()

    def _write_or_log(self, answers: Sequence[Answer], seconds: float) -> None:
        # Nothing reads the writer's result, so an error must be logged here.
        try:
            self._write(answers, seconds)
        except Exception:
            logger.exception("the metrics of a batch of %d are lost", len(answers))

    def _write(self, rows: Sequence[Answer], seconds: float) -> None:
        answers = [each for row in rows for each in row.parts or (row,)]
        for (policy, code), count in Counter(
            (answer.policy, answer.code) for answer in answers
        ).items():
            self._add(REQUESTS, count, policy, code)
        unknown = sum(
            answer.policy == "popular" or answer.code == _UNKNOWN_USER for answer in answers
        )
        if unknown:
            self._add(UNKNOWN_USERS, unknown)
        self._add(SCORE_TIME, round(1000 * seconds, 3))
        self._add(BATCH_ROWS, len(answers))

    def _add(self, name: str, value: float, *labels: str) -> None:
        self._metrics[name].add_or_update(value, [*labels, self._digest])


def _open(cache: Any, name: str) -> _Metric:  # noqa: ANN401 - a class of TorchServe
    from ts.metrics.metric_type_enum import MetricTypes  # noqa: PLC0415 - TorchServe's worker only

    kind, unit, labels = SPECIFICATION[name]
    metric: _Metric = cache.add_metric_to_cache(name, unit, list(labels), MetricTypes(kind))
    return metric
