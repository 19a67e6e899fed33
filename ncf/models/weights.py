"""The type of a network's parameters as plain arrays, for code that runs without PyTorch."""

import numpy as np
import numpy.typing as npt

Weights = dict[str, npt.NDArray[np.float32]]
"""Float32 arrays by the name that each parameter has in the network."""
