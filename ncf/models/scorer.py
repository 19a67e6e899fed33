"""A network as a plain function of NumPy arrays."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

Indices = npt.NDArray[np.integer]
Scorer = Callable[[Indices, Indices], npt.NDArray[np.float32]]

_PAIRS_AT_ONCE = 1 << 16


def scorer(model: nn.Module) -> Scorer:
    """Make a function from user and item indices, int of shape ``(n,)``, to logits, float32."""
    device = next(model.parameters()).device

    @torch.inference_mode()
    def score(users: Indices, items: Indices) -> npt.NDArray[np.float32]:
        was_training = model.training
        model.eval()
        logits = np.empty(users.size, np.float32)
        for start in range(0, users.size, _PAIRS_AT_ONCE):
            part = slice(start, start + _PAIRS_AT_ONCE)
            pair = (
                torch.from_numpy(np.array(indices[part])).to(device) for indices in (users, items)
            )
            logits[part] = model(*pair).cpu().numpy()
        model.train(was_training)
        return logits

    return score
