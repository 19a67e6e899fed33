"""ONNX Runtime sessions on the device that was asked for, and on no other."""

import logging
from collections.abc import Callable
from pathlib import Path

import onnxruntime as ort

from ncf.devices import Device
from ncf.errors import ArtifactError, CapabilityError

logger = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

_QUIET = 4
_NO_CUDA = "its CUDA provider does not load here, or cannot run all of the graph"


def open_session(
    graph: Callable[[Device], Path | bytes], device: Device, threads: int = 0
) -> ort.InferenceSession:
    """Open the form of a graph that suits a device.

    Parameters
    ----------
    graph : callable
        Path or bytes of the graph for ``Device.CPU`` or ``Device.CUDA``.
    device : Device
        ``auto`` takes CUDA where it really loads, else the CPU, and logs why.
    threads : int
        For the operators of one run; 0 lets ONNX Runtime take every core.

    Raises
    ------
    CapabilityError
        ``cuda`` was asked for and cannot be had.
    """
    if device is not Device.CPU:
        try:
            return open_cuda(graph(Device.CUDA), threads)
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


def open_cuda(model: Path | bytes, threads: int = 0) -> ort.InferenceSession:
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
        try:
            session = _open(model, CUDA, threads)
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


def _open(model: Path | bytes, provider: str, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _QUIET  # what goes wrong is raised, or found out by the caller
    if provider == CUDA:
        # Without this, nodes that CUDA cannot take go to the CPU and nobody is told.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    source = model if isinstance(model, bytes) else str(model)
    return ort.InferenceSession(source, options, providers=[provider])
