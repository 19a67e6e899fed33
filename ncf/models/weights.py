"""A network's parameters as plain arrays; light, so that nobody needs PyTorch to name them."""

import numpy as np
import numpy.typing as npt

Weights = dict[str, npt.NDArray[np.float32]]
"""Float32 arrays by the name that each parameter has in the network."""
