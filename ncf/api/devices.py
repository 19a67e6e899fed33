"""Choose the device for PyTorch."""

import torch

from ncf.devices import Device
from ncf.errors import CapabilityError


def torch_device(device: Device) -> str:
    """Find PyTorch's name of a device.

    Raises
    ------
    CapabilityError
        CUDA was asked for and is not available.
    """
    available = torch.cuda.is_available()
    if device is Device.CUDA and not available:
        raise CapabilityError(
            "CUDA was asked for, but PyTorch cannot use it",
            remedy="see 'ncf doctor', or `device=\"cpu\"`",
        )
    return "cuda" if available and device is not Device.CPU else "cpu"
