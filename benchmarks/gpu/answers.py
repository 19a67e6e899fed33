"""The server's answers on the device against its answers on the CPU, and how long one takes."""

import json
import time
from typing import Any

import numpy as np

from benchmarks.gpu.part import Record, Settings, require
from benchmarks.gpu.worlds import names
from ncf.devices import Device

_NEAR = 1e-4
_REQUESTS = 400


def run(settings: Settings, record: Record) -> None:
    """Ask both the same: plain, excluding, among candidates, seen included, with a history."""
    require("onnxruntime")
    from handlers.service import Service

    for name in names(settings.worlds):
        folder = settings.worlds / name / "ncf"
        here = Service(folder, device=settings.device)
        on_cpu = Service(folder, device=Device.CPU)
        rows = _requests(on_cpu, 20 if settings.small else _REQUESTS)
        differing = 0
        for start in range(0, len(rows), 16):
            batch = rows[start : start + 16]
            for found, expected in zip(here.answer(batch)[0], on_cpu.answer(batch)[0], strict=True):
                differing += not _agree(json.loads(found.body), json.loads(expected.body))
        record.add(
            f"{name}: answers",
            requests=len(rows),
            differing=differing,
            milliseconds_of_one=round(1e3 * _seconds(here, rows, 1), 3),
            milliseconds_of_16=round(1e3 * _seconds(here, rows, 16), 3),
            milliseconds_of_one_on_the_cpu=round(1e3 * _seconds(on_cpu, rows, 1), 3),
        )
        if differing:
            raise AssertionError(
                f"{name}: {differing} of {len(rows)} answers differ from the CPU's"
            )


def _requests(service: Any, count: int) -> list[dict[str, object]]:  # noqa: ANN401 - its module needs ONNX Runtime
    model = json.loads(service.describe())["model"]
    rng = np.random.default_rng(0)
    some = [str(item) for item in rng.integers(0, model["n_items"], 25)]
    options: list[dict[str, object]] = [
        {"exact": True},
        {"exclude": some, "exact": True},
        {"candidates": some},
        {"include_seen": True},
        {"history": some[:12], "exact": True},  # folded in, or refreshed, on the CPU
    ]
    users = rng.integers(0, model["n_users"] + 2, count)  # strangers among them
    return [
        {"body": json.dumps({"user": str(user), "k": 10, **options[row % len(options)]}).encode()}
        for row, user in enumerate(users)
    ]


def _agree(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Whether both list the same, up to items of nearly the same score."""
    if found.keys() != expected.keys() or "items" not in found:
        return found == expected
    both = [[each.get("score") for each in answer["items"]] for answer in (found, expected)]
    if found["policy"] != expected["policy"] or len(both[0]) != len(both[1]):
        return False
    if None in both[0] + both[1]:
        return bool(found["items"] == expected["items"])
    return bool(np.allclose(both[0], both[1], atol=_NEAR, rtol=_NEAR))


def _seconds(service: Any, rows: list[dict[str, object]], size: int) -> float:  # noqa: ANN401 - as above
    """Median seconds of a call with so many rows."""
    times = []
    for start in range(0, len(rows) - size + 1, size):
        started = time.perf_counter()
        service.answer(rows[start : start + size])
        times.append(time.perf_counter() - started)
    return float(np.median(times))
