"""Write figures of a batch in Prometheus' text format, for node_exporter."""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from ncf.errors import GateError, NcfError
from ncf.files import storage_errors

logger = logging.getLogger(__name__)

_PREFIX = "ncf_batch_"
_LAST = "last_success_timestamp_seconds"


@contextmanager
def metrics_of(path: Path | None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yield a function that records a run's figures; if it is not called, the run has failed.

    Parameters
    ----------
    path : Path or None
        File to write; None writes nothing.

    Raises
    ------
    StorageError
        The file cannot be written; this is checked at the start.
    """
    if path is None:
        yield lambda _: None
        return
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    last = last_success(path)
    recorded: list[Mapping[str, Any]] = []
    try:
        yield recorded.append
    except BaseException as error:
        if not recorded:
            try:
                write_metrics(path, None, last, held=isinstance(error, GateError))
            except (NcfError, OSError) as problem:
                logger.warning("%s: not written: %s", path, problem)
        raise
    try:
        published = recorded[0].get("outcome", "published") == "published"
        write_metrics(path, recorded[0], time.time() if published else last)
    except (NcfError, OSError) as error:  # the table is published anyway
        logger.warning("%s: not written: %s", path, error)


def last_success(path: Path) -> float | None:
    """Read the Unix time of the last success from a file; None if there is none."""
    try:
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    samples = [sample for family in families for sample in family.samples]
    return next((each.value for each in samples if each.name == f"{_PREFIX}{_LAST}"), None)


def write_metrics(
    path: Path, figures: Mapping[str, Any] | None, last: float | None, *, held: bool = False
) -> None:
    """Replace the file of figures.

    Parameters
    ----------
    path : Path
        File to write; node_exporter reads names that end in ``.prom``.
    figures : mapping or None
        Result of :func:`batch.pipeline.run_batch`; None if the run failed.
    last : float or None
        Unix time of the last success; None if there is none.
    held : bool
        Whether the run was made, failed a gate and was set aside.
    """
    registry = CollectorRegistry()

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}{name}", text, labels, registry=registry)

    gauge("success", "1 if the last run published a table, else 0.").set(figures is not None)
    gauge("held", "1 if the last run failed a gate and was set aside, else 0.").set(held)
    gauge("end_timestamp_seconds", "When the last run ended.").set(time.time())
    if last is not None:
        gauge(_LAST, "When a table was last published.").set(last)
    if figures is not None:
        users = gauge("users", "Users of the table by policy.", "policy")
        for policy, count in figures["users_by_policy"].items():
            users.labels(policy).set(count)
        gauge("rows", "Rows of the table.").set(figures["rows"])
        gauge("unknown_users", "Users asked for whom the model does not know.").set(
            figures["unknown_users"]
        )
        seconds = gauge("seconds", "Seconds by phase, summed over shards.", "phase")
        for phase, value in figures["seconds"].items():
            seconds.labels(phase).set(value)
        gauge("peak_memory_bytes", "Most memory that the process held.").set(
            figures["peak_memory_bytes"]
        )
        if "recall" in figures:
            gauge("recall_lower_bound", "Recall that the screened table has proven.").set(
                figures["recall"]["lower_bound"]
            )
        gauge("parts_reused", "Parts taken over from a run that died.").set(figures["parts_reused"])
    with storage_errors(path):
        write_to_textfile(str(path), registry)
