"""ONNX Runtime sessions on the device that was asked for, and on no other."""

import logging
from pathlib import Path

import onnxruntime as ort

from ncf.devices import Device
from ncf.errors import CapabilityError

logger = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

_QUIET = 4
_NO_CUDA = "its CUDA provider does not load here, or cannot run all of the graph"


def open_session(model: Path | bytes, device: Device, threads: int = 0) -> ort.InferenceSession:
    """Open a graph.

    Parameters
    ----------
    model : Path or bytes
        An ONNX file, or its content.
    device : Device
        ``auto`` takes CUDA where it really loads, else the CPU, and logs which.
    threads : int
        For the operators of one run; 0 lets ONNX Runtime take every core.

    Raises
    ------
    CapabilityError
        ``cuda`` was asked for and cannot be had.
    """
    if device is Device.CPU:
        return _open(model, [CPU], threads)
    if CUDA not in ort.get_available_providers():
        reason = "this ONNX Runtime was built without CUDA"
    else:
        try:
            return _open_cuda(model, threads)
        except CapabilityError as error:
            reason = str(error)
    if device is Device.AUTO:
        logger.info("computing on the CPU: %s", reason)
        return _open(model, [CPU], threads)
    raise CapabilityError(
        f"CUDA was asked for and cannot be used ({reason})",
        remedy="install a driver and 'onnxruntime-gpu[cuda,cudnn]', or use --device cpu",
    )


def _open(model: Path | bytes, providers: list[str], threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _QUIET  # what goes wrong is raised, or found out below
    if providers == [CUDA]:
        # Without this, nodes that CUDA cannot take go to the CPU and nobody is told.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    source = model if isinstance(model, bytes) else str(model)
    return ort.InferenceSession(source, options, providers=providers)


def _open_cuda(model: Path | bytes, threads: int) -> ort.InferenceSession:
    ort.set_default_logger_severity(_QUIET)  # a provider that does not load writes pages
    try:
        session = _open(model, [CUDA], threads)
    except Exception as error:
        raise CapabilityError(_NO_CUDA) from error
    # Asking for CUDA where its libraries are missing may raise nothing and give a CPU session.
    if CUDA not in session.get_providers():
        raise CapabilityError(_NO_CUDA)
    return session
