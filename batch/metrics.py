"""What a monitor reads of a batch: a file in Prometheus' text format, for node_exporter."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from ncf.files import storage_errors


def write_metrics(path: Path, figures: Mapping[str, Any] | None) -> None:
    """Replace the file.

    Parameters
    ----------
    path : Path
        Ends in ``.prom`` where node_exporter is to find it.
    figures : mapping or None
        What :func:`batch.run.run` returned; None where the run failed.
    """
    registry = CollectorRegistry()

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"ncf_batch_{name}", text, labels, registry=registry)

    gauge("success", "1 if the last run published a table, else 0.").set(figures is not None)
    gauge("end_timestamp_seconds", "When the last run ended.").set(time.time())
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
        gauge("parts_reused", "Parts taken over from a run that died.").set(figures["parts_reused"])
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(path), registry)
