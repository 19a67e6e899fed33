"""What is there: driver, card, PyTorch, ONNX Runtime, and the ceilings that the card reaches."""

import platform
import subprocess
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.gpu.part import Record, Settings, Skipped, require
from ncf.devices import Device, usable_cores

_REPEATS = 10


def run(settings: Settings, record: Record) -> None:
    """Name versions, and measure a copy and a matrix product."""
    record.add(
        "software",
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=np.__version__,
        cores=usable_cores(),
    )
    if settings.device is Device.CUDA:
        record.add("driver", nvidia_smi=_smi("name,driver_version,memory.total"))
        card = torch.cuda.get_device_properties(0)
        record.add(
            "card",
            name=card.name,
            multiprocessors=card.multi_processor_count,
            memory_bytes=card.total_memory,
        )
    for tf32 in (False, True):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        for shape in ((8192, 8192, 8192), (1 << 21, 128, 64)):
            rows, inner, columns = (min(size, 256) for size in shape) if settings.small else shape
            one = torch.rand(rows, inner, device=settings.device.value)
            other = torch.rand(inner, columns, device=settings.device.value)
            seconds = timed(partial(torch.matmul, one, other), settings)
            record.add(
                f"product {rows} x {inner} x {columns}, float32{', TF32' if tf32 else ''}",
                tflops=round(2 * rows * inner * columns / seconds / 1e12, 2),
            )
    torch.backends.cuda.matmul.allow_tf32 = False
    source = torch.rand(1 << (16 if settings.small else 29), device=settings.device.value)
    target = torch.empty_like(source)
    seconds = timed(partial(target.copy_, source), settings)
    record.add(
        "copy, bytes read and written", gb_a_second=round(8 * source.numel() / seconds / 1e9)
    )
    try:
        require("onnxruntime")
    except Skipped as error:
        record.add("ONNX Runtime", reason=str(error))
    else:
        _onnx_runtime(settings, record)


def _onnx_runtime(settings: Settings, record: Record) -> None:
    from ncf.scoring.onnx_runtime import ort
    from ncf.scoring.sessions import open_cpu, open_cuda

    graph = next(iter(sorted(settings.worlds.glob("*/ncf/score.onnx"))))
    opened = open_cuda(graph) if settings.device is Device.CUDA else open_cpu(graph)
    record.add(
        "ONNX Runtime",
        version=ort.__version__,
        available=ort.get_available_providers(),
        loaded=opened.get_providers(),
    )


def timed(work: Callable[[], object], settings: Settings) -> float:
    """Median seconds of some repeats, after one to warm up."""
    times = []
    for _ in range(1 + _REPEATS):
        started = time.perf_counter()
        work()
        if settings.device is Device.CUDA:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return float(np.median(times[1:]))


def _smi(query: str) -> str:
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"not to be had ({error})"
