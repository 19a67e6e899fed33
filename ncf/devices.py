"""Where to compute: one choice for PyTorch and ONNX Runtime alike."""

from enum import StrEnum


class Device(StrEnum):
    """``auto`` takes CUDA where it can be used, else the CPU."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
