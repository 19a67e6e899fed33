"""ONNX Runtime sessions on the device that was asked for, and on no other."""

import contextlib
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ncf.devices import Device, usable_cores
from ncf.errors import ArtifactError, CapabilityError
from ncf.scoring.onnx_runtime import ort

logger = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

_QUIET = 4
_NO_CUDA = "its CUDA provider does not load here, or cannot run all of the graph"
# What ONNX Runtime says when its arena, CUDA or cuBLAS finds no memory.
_NO_MEMORY = ("bfcarena", "failed to allocate memory", "out of memory", "alloc_failed")


@dataclass(frozen=True)
class CudaOptions:
    """How a session uses a GPU.

    Parameters
    ----------
    tf32 : bool
        Whether matrix products may round their inputs to TF32 (10 bits of mantissa). ONNX Runtime
        does so by default; logits then differ from the CPU's by some 1e-3, and ranks change.
    memory : int or None
        Bytes of GPU memory that the session's arena may take; None is all there is.
    """

    tf32: bool = False
    memory: int | None = None

    def provider(self) -> dict[str, str]:
        """Options of ONNX Runtime's CUDA provider."""
        options = {"use_tf32": str(int(self.tf32)), "arena_extend_strategy": "kSameAsRequested"}
        if self.memory is not None:
            options["gpu_mem_limit"] = str(self.memory)
        return options


EXACT = CudaOptions()


class GpuMemoryError(CapabilityError):
    """The GPU has too little memory for one call."""


def open_session(
    graph: Callable[[Device], Path | bytes],
    device: Device,
    threads: int = 0,
    cuda: CudaOptions = EXACT,
) -> ort.InferenceSession:
    """Open the form of a graph that suits a device.

    Parameters
    ----------
    graph : callable
        Path or bytes of the graph for ``Device.CPU`` or ``Device.CUDA``.
    device : Device
        ``auto`` takes CUDA where it really loads, else the CPU, and logs why.
    threads : int
        For the operators of one run; 0 is every core that this process may use.
    cuda : CudaOptions
        How a GPU is used, where one is.

    Raises
    ------
    CapabilityError
        ``cuda`` was asked for and cannot be had.
    """
    if device is not Device.CPU:
        try:
            return open_cuda(graph(Device.CUDA), threads, cuda)
        except CapabilityError as error:
            if device is Device.CUDA:
                raise
            logger.info("computing on the CPU: %s", error)
    return open_cpu(graph(Device.CPU), threads)


def open_cpu(model: Path | bytes, threads: int = 0) -> ort.InferenceSession:
    """Open a graph on the CPU.

    Raises
    ------
    ArtifactError
        ONNX Runtime cannot read it.
    """
    try:
        return _open(model, CPU, threads)
    except Exception as error:  # ONNX Runtime raises its own bare classes
        raise ArtifactError(
            f"not a graph that ONNX Runtime {ort.__version__} reads ({str(error)[:100]})",
            where=model if isinstance(model, Path) else None,
            remedy="export it again",
        ) from error


def open_cuda(
    model: Path | bytes, threads: int = 0, cuda: CudaOptions = EXACT
) -> ort.InferenceSession:
    """Open a graph on CUDA; nothing of it runs on the CPU.

    Raises
    ------
    CapabilityError
        CUDA cannot be had.
    """
    reason = "this ONNX Runtime was built without CUDA"
    if CUDA in ort.get_available_providers():
        reason = _NO_CUDA
        ort.set_default_logger_severity(_QUIET)  # a provider that does not load writes pages
        _load_libraries()
        try:
            session = _open(model, CUDA, threads, cuda)
        except Exception:
            logger.debug("opening on CUDA failed", exc_info=True)
        else:
            # Asking for CUDA where its libraries are missing may raise nothing and go elsewhere.
            if CUDA in session.get_providers():
                return session
    raise CapabilityError(
        f"ONNX Runtime cannot use CUDA: {reason}",
        remedy="install a driver and 'onnxruntime-gpu[cuda,cudnn]', or use `device=\"cpu\"`",
    )


def device_of(session: ort.InferenceSession) -> Device:
    """Where an open session computes."""
    return Device.CUDA if CUDA in session.get_providers() else Device.CPU


def failed_on_cuda(error: Exception, users: int) -> CapabilityError:
    """Say what failed on the GPU; ONNX Runtime's text tells a lack of memory from other ends."""
    text = str(error)
    reason = text[:200]
    if any(sign in text.lower() for sign in _NO_MEMORY):
        return GpuMemoryError(
            f"out of memory on the GPU with {users} users a call ({reason})",
            remedy="free the GPU's memory and run the same command again, or use --device cpu",
        )
    return CapabilityError(
        f"the GPU failed ({reason})",
        remedy="look at it with 'nvidia-smi' and run the same command again, or use --device cpu",
    )


def _load_libraries() -> None:
    """Load CUDA's libraries from NVIDIA's wheels, which no search path of the system names."""
    said = io.StringIO()  # it prints what it does not find, most of which nothing here needs
    with contextlib.redirect_stdout(said), contextlib.suppress(OSError, RuntimeError):
        ort.preload_dlls()
    logger.debug("loading CUDA's libraries: %s", said.getvalue())


def _open(
    model: Path | bytes, provider: str, threads: int, cuda: CudaOptions = EXACT
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # Left to itself, ONNX Runtime knows nothing of a container's quota.
    options.intra_op_num_threads = threads or usable_cores()
    options.log_severity_level = _QUIET  # what goes wrong is raised, or found out by the caller
    chosen: list[str | tuple[str, dict[str, str]]] = [provider]
    if provider == CUDA:
        chosen = [(CUDA, cuda.provider())]
        # Without this, nodes that CUDA cannot take go to the CPU and nobody is told.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    source = model if isinstance(model, bytes) else str(model)
    return ort.InferenceSession(source, options, providers=chosen)
