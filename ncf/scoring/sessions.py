"""Open ONNX Runtime sessions on the requested device, and on no other."""

import contextlib
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ncf.devices import Device, usable_cores
from ncf.errors import TEMPORARY, ArtifactError, CapabilityError
from ncf.scoring.onnx_runtime import ort

logger = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

_QUIET = 4
_NO_CUDA = "its CUDA provider does not load here, or cannot run all of the graph"
# Parts of ONNX Runtime's messages when its arena, CUDA or cuBLAS is out of memory.
_NO_MEMORY = ("bfcarena", "failed to allocate memory", "out of memory", "alloc_failed")


@dataclass(frozen=True)
class CudaOptions:
    """Options for a session on a GPU.

    Parameters
    ----------
    tf32 : bool
        Whether matrix products may round their inputs to TF32 (10 bits of mantissa), as ONNX
        Runtime does by default. Logits then differ from the CPU's by about 1e-3, and ranks
        change.
    memory : int or None
        Bytes of GPU memory that the session's arena may take; None sets no limit.
    """

    tf32: bool = False
    memory: int | None = None

    def provider(self) -> dict[str, str]:
        """Make the options of ONNX Runtime's CUDA provider."""
        options = {"use_tf32": str(int(self.tf32)), "arena_extend_strategy": "kSameAsRequested"}
        if self.memory is not None:
            options["gpu_mem_limit"] = str(self.memory)
        return options


EXACT = CudaOptions()


class GpuMemoryError(CapabilityError):
    """The GPU has too little memory for one call; another program may give some back."""

    exit_code = TEMPORARY


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
        Gives the path or the bytes of the graph for ``Device.CPU`` or ``Device.CUDA``.
    device : Device
        ``auto`` takes CUDA where it loads, else the CPU, and logs why.
    threads : int
        Threads for the operators of one run; 0 is every core that this process may use.
    cuda : CudaOptions
        Options for a GPU.

    Raises
    ------
    CapabilityError
        ``cuda`` was asked for and is not available.
    """
    if device is not Device.CPU:
        try:
            return open_cuda(graph(Device.CUDA), threads, cuda)
        except CapabilityError as error:
            if device is Device.CUDA:
                raise
            say_why(str(error))
    return open_cpu(graph(Device.CPU), threads)


@cache
def say_why(reason: str) -> None:
    """Log why the CPU computes, once in a process: a comparison opens a session for each model."""
    logger.info("computing on the CPU: %s", reason)


def open_cpu(model: Path | bytes, threads: int = 0) -> ort.InferenceSession:
    """Open a graph on the CPU.

    Raises
    ------
    ArtifactError
        ONNX Runtime cannot read it.
    """
    try:
        return _open(model, CPU, threads)
    except Exception as error:  # ONNX Runtime's errors share no class of their own
        raise ArtifactError(
            f"not a graph that ONNX Runtime {ort.__version__} reads ({str(error)[:100]})",
            where=model if isinstance(model, Path) else None,
            remedy="export it again",
        ) from error


def open_cuda(
    model: Path | bytes, threads: int = 0, cuda: CudaOptions = EXACT
) -> ort.InferenceSession:
    """Open a graph on CUDA; no part of it runs on the CPU.

    Raises
    ------
    CapabilityError
        CUDA is not available.
    """
    reason = "this ONNX Runtime was built without CUDA"
    if CUDA in ort.get_available_providers():
        reason = _NO_CUDA
        ort.set_default_logger_severity(_QUIET)  # a provider that does not load prints a lot
        _load_libraries()
        try:
            session = _open(model, CUDA, threads, cuda)
        except Exception:
            logger.debug("opening on CUDA failed", exc_info=True)
        else:
            # Where CUDA's libraries are missing, ONNX Runtime may silently take the CPU.
            if CUDA in session.get_providers():
                return session
    raise CapabilityError(
        f"ONNX Runtime cannot use CUDA: {reason}",
        remedy="install a driver and 'onnxruntime-gpu[cuda,cudnn]', or use `device=\"cpu\"`",
    )


def device_of(session: ort.InferenceSession) -> Device:
    """Find the device of an open session."""
    return Device.CUDA if CUDA in session.get_providers() else Device.CPU


def failed_on_cuda(error: Exception, users: int) -> CapabilityError:
    """Make the error for a failure on the GPU; the text shows whether memory ran out."""
    text = str(error)
    reason = text[:200]
    if any(sign in text.lower() for sign in _NO_MEMORY):
        return GpuMemoryError(
            f"out of memory on the GPU with {users} users a call ({reason})",
            remedy='free the GPU\'s memory and do the same again, or use `device="cpu"`',
        )
    return CapabilityError(
        f"the GPU failed ({reason})",
        remedy="look at it with 'nvidia-smi' and do the same again, or use `device=\"cpu\"`",
    )


def _load_libraries() -> None:
    """Load CUDA's libraries from NVIDIA's wheels, which are not on the system's search path."""
    said = io.StringIO()  # it prints every library it does not find, most of them not needed
    with contextlib.redirect_stdout(said), contextlib.suppress(OSError, RuntimeError):
        ort.preload_dlls()
    logger.debug("loading CUDA's libraries: %s", said.getvalue())


def _open(
    model: Path | bytes, provider: str, threads: int, cuda: CudaOptions = EXACT
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # By itself, ONNX Runtime does not know the CPU quota of a container.
    options.intra_op_num_threads = threads or usable_cores()
    # Its threads sleep while they wait: spinning, they take the cores from whom they wait for.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _QUIET  # failures are raised, or found by the caller
    chosen: list[str | tuple[str, dict[str, str]]] = [provider]
    if provider == CUDA:
        chosen = [(CUDA, cuda.provider())]
        # Without this, nodes that CUDA cannot run go to the CPU silently.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    source = model if isinstance(model, bytes) else str(model)
    return ort.InferenceSession(source, options, providers=chosen)
