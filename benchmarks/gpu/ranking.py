"""Every user's top 10 by ONNX Runtime: block sizes and threads, against the CPU here."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.gpu.growing import grow
from benchmarks.gpu.load import Load
from benchmarks.gpu.part import BATCH, Record, Settings, Skipped, require
from benchmarks.gpu.worlds import TRAINED
from ncf.devices import Device, usable_cores

if TYPE_CHECKING:
    from ncf.scoring.blocks import BlockRanker
    from ncf.scoring.bundle import Bundle
    from ncf.scoring.ranker import Users

_K = 10
_BLOCKS, _FEW_BLOCKS = (128, 256, 512, 1024), (8, 32)
_THREADS = (1, 4)
_TIMES, _TIMES_OF_BATCH = 16, 20  # the trained users, so that a run is long enough to time


def run(settings: Settings, record: Record) -> None:
    """Sweep the exact graph's blocks and threads, the screen, and the batch job as a whole."""
    require("onnxruntime")
    from ncf.records import json_values
    from ncf.scoring.bundle import open_bundle

    bundle = open_bundle(settings.worlds / TRAINED / "ncf")
    record.add("model", users=bundle.n_users, **json_values(bundle.manifest.model))
    users = np.tile(np.arange(bundle.n_users), 1 if settings.small else _TIMES)
    _sweep(settings, record, bundle, users)
    _as_opened(settings, record, bundle, users)
    _whole_job(settings, record, bundle)


def _sweep(settings: Settings, record: Record, bundle: "Bundle", users: "Users") -> None:
    """Time block sizes and counts of threads, with and without TF32."""
    from ncf.scoring.exact import ExactRanker
    from ncf.scoring.sessions import CudaOptions, open_cpu, open_cuda

    cuda = settings.device is Device.CUDA
    for tf32 in (False, True) if cuda else (False,):
        options, graph = CudaOptions(tf32=tf32), bundle.path / "topk.cuda.onnx"
        session = open_cuda(graph, 1, options) if cuda else open_cpu(graph, 1)
        ranker = ExactRanker(session, bundle.user_rows, bundle.eligibility, Device.CUDA)
        for threads in _THREADS[-1:] if tf32 else _THREADS:
            for block in _FEW_BLOCKS if settings.small else _BLOCKS:
                ranker.step = block
                title = f"exact{', TF32' if tf32 else ''}, blocks of {block}, {threads} threads"
                _time(record, title, ranker, users, threads, settings)


def _as_opened(settings: Settings, record: Record, bundle: "Bundle", users: "Users") -> None:
    """Time what ``ncf`` opens by default, exact and screened, on the device and on the CPU."""
    from ncf.scoring.exact import ExactRanker
    from ncf.scoring.screened import Calibration, ScreenedRanker

    screens = Calibration.of(bundle).find(_K) is not None
    if not screens:
        reason = getattr(bundle.manifest.screen, "reason", "not calibrated for such lists")
        record.add("screened", reason=reason)
    for device in dict.fromkeys((settings.device, Device.CPU)):
        threads = 4 if device is Device.CUDA else usable_cores()
        some = users if device is Device.CUDA else users[: 4 * bundle.n_users]
        rankers: dict[str, BlockRanker] = {"exact": ExactRanker.open(bundle, device, 1)}
        if screens:
            rankers["screened"] = ScreenedRanker.open(bundle, device, 1)
        for kind, ranker in rankers.items():
            title = f"{kind} as opened by ncf on {device.value}, {threads} threads"
            _time(record, title, ranker, some, threads, settings)


def _time(  # noqa: PLR0913, PLR0917 - one row of a table
    record: Record,
    title: str,
    ranker: "BlockRanker",
    users: "Users",
    threads: int,
    settings: Settings,
) -> None:
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        ranker.rank(users[: 4 * threads * ranker.users_at_once(_K)], _K, pool)
        with Load.watched(settings.device) as load:
            for _ in range(1 if settings.small else 2):
                started = time.perf_counter()
                ranker.rank(users, _K, pool)
                best = max(best, users.size / (time.perf_counter() - started))
    record.add(
        title, users_a_second=round(best), users_a_call=ranker.users_at_once(_K), **load.figures()
    )


def _whole_job(settings: Settings, record: Record, bundle: "Bundle") -> None:
    """Run ``ncf batch``: reading, Parquet, proof and publishing included."""
    try:
        require(*BATCH)
    except Skipped as error:
        record.add("ncf batch", reason=str(error))
        return
    from batch.job import Job
    from batch.options import Mode
    from batch.pipeline import run_batch

    with tempfile.TemporaryDirectory() as scratch:
        grown = Path(scratch) / "grown"
        grow(bundle.path, grown, 2 if settings.small else _TIMES_OF_BATCH)
        for device in dict.fromkeys((settings.device, Device.CPU)):
            for mode in (Mode.EXACT, Mode.SCREENED) if bundle.has_screen else (Mode.EXACT,):
                out = Path(scratch) / f"{device.value}-{mode.value}"
                with Load.watched(settings.device) as load:
                    figures = run_batch(Job(grown, out, _K, device, mode=mode), datetime.now(UTC))
                record.add(
                    f"ncf batch --mode {mode.value} --device {device.value}",
                    users=figures["users"],
                    users_a_second=round(figures["users_per_second"]),
                    seconds_by_phase=figures["seconds"],
                    ended_as=figures["mode"],
                    **load.figures(),
                )
