"""Metrics are written beside the answers: what goes wrong with one is logged, and stops nothing."""

from typing import Any

import pytest

from handlers.metrics import BATCH_ROWS, REQUESTS, SCORE_TIME, Metrics
from handlers.service import Answer


class Cache:
    """TorchServe's cache of metrics: keeps what is added, and fails where it is told to."""

    def __init__(self, failing: str | None = None) -> None:
        self.failing = failing
        self.added: list[tuple[str, float, list[str]]] = []

    def add_metric_to_cache(self, name: str, *_: object) -> Any:  # noqa: ANN401 - a metric
        cache = self

        class Metric:
            def add_or_update(self, value: float, labels: list[str]) -> None:
                if name == cache.failing:
                    raise ValueError("label values do not fit the dimensions")
                cache.added.append((name, value, labels))

        return Metric()


ANSWERS = [Answer(200, b"{}", policy="model"), Answer(400, b"{}", "bad_request")]


def test_a_batch_is_counted_by_policy_and_code_and_timed() -> None:
    cache = Cache()
    metrics = Metrics(cache, "abc")
    metrics.record(ANSWERS, 0.0125)
    metrics.close()  # writes what is waiting
    assert cache.added == [
        (REQUESTS, 1, ["model", "ok", "abc"]),
        (REQUESTS, 1, ["none", "bad_request", "abc"]),
        (SCORE_TIME, 12.5, ["abc"]),
        (BATCH_ROWS, 2, ["abc"]),
    ]


def test_a_metric_that_fails_is_logged_and_the_next_batch_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = Cache(failing=REQUESTS)
    metrics = Metrics(cache, "abc")
    metrics.record(ANSWERS, 0.0125)
    cache.failing = None
    metrics.record(ANSWERS[:1], 0.0125)
    metrics.close()
    assert "the metrics of a batch of 2 are lost" in caplog.text
    assert "label values do not fit the dimensions" in caplog.text
    assert (REQUESTS, 1, ["model", "ok", "abc"]) in cache.added
