"""What goes wrong on GPUs: too little memory, and a batch job that dies in the middle."""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.gpu.part import BATCH, Record, Settings, Skipped, require
from benchmarks.gpu.worlds import TRAINED
from ncf.devices import Device
from ncf.errors import CapabilityError

_K = 10
_BATCH = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from batch.job import Job
from batch.options import Mode
from batch.pipeline import run_batch
from ncf.devices import Device
bundle, out, device, users = sys.argv[1:]
job = Job(Path(bundle), Path(out), 10, Device(device), int(users), mode=Mode.EXACT)
run_batch(job, datetime(2026, 1, 1, tzinfo=UTC))
"""


def run(settings: Settings, record: Record) -> None:
    """Kill a batch job and run it again; then take the GPU's memory away."""
    require("onnxruntime")
    bundle = settings.worlds / TRAINED / "ncf"
    try:
        require(*BATCH)
    except Skipped as error:
        record.add("killed and run again", reason=str(error))
    else:
        _killed(settings, record, bundle)
    settings.require_cuda()
    _no_memory(record, bundle)


def _killed(settings: Settings, record: Record, bundle: Path) -> None:
    each = "20" if settings.small else "150"
    with tempfile.TemporaryDirectory() as scratch:
        whole, broken = Path(scratch) / "whole", Path(scratch) / "broken"
        _finish(_started(bundle, whole, settings.device, each))
        process = _started(bundle, broken, settings.device, each)
        ends = time.monotonic() + 60
        while not list(broken.rglob("part-*.parquet")) and time.monotonic() < ends:
            if process.poll() is not None:
                break
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        died = process.wait() == -signal.SIGKILL
        parts = len(list(broken.rglob("part-*.parquet")))
        unpublished = not (broken / "LATEST").exists()
        _finish(_started(bundle, broken, settings.device, each))
        same = _parts(whole) == _parts(broken)
        record.add(
            "a batch job killed in the middle, and run again",
            killed=died,
            parts_at_its_death=parts,
            nothing_published_then=unpublished,
            same_bytes_after=same,
        )
        if not same:
            raise AssertionError("the table differs after a kill")


def _started(bundle: Path, out: Path, device: Device, each: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", _BATCH, str(bundle), str(out), device.value, each]
    return subprocess.Popen(command)


def _finish(process: "subprocess.Popen[bytes]") -> None:
    if process.wait(timeout=120):
        raise AssertionError(f"the batch job ended with exit code {process.returncode}")


def _parts(out: Path) -> dict[str, bytes]:
    (run_,) = [path for path in out.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return {path.name: path.read_bytes() for path in sorted(run_.glob("part-*.parquet"))}


def _no_memory(record: Record, bundle_folder: Path) -> None:
    from ncf.scoring.bundle import open_bundle
    from ncf.scoring.exact import ExactRanker
    from ncf.scoring.sessions import CudaOptions

    bundle = open_bundle(bundle_folder)
    users = np.arange(min(2048, bundle.n_users))
    expected = ExactRanker.open(bundle, Device.CUDA).rank(users, _K)
    for mib in (1024, 64):
        cuda = CudaOptions(memory=mib << 20)
        ranker = ExactRanker.open(bundle, Device.CUDA, cuda=cuda)
        ranker.step = 2048
        found = ranker.rank(users, _K)
        same = bool(np.allclose(found.scores, expected.scores, atol=1e-5))
        record.add(
            f"{mib} MiB for blocks of 2,048 users",
            users_a_call_then=ranker.users_at_once(_K),
            same_lists=same,
        )
        if not same:
            raise AssertionError("lists differ where memory was short")
    try:
        ExactRanker.open(bundle, Device.CUDA, cuda=CudaOptions(memory=6 << 20)).rank(users, _K)
    except CapabilityError as error:
        record.add("6 MiB", error=str(error))
    else:
        raise AssertionError("6 MiB were enough, which they cannot be")
