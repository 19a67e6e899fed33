"""Make plain functions of NumPy arrays from a network."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from ncf.models.networks import Network

Indices = npt.NDArray[np.integer]
Scorer = Callable[[Indices, Indices], npt.NDArray[np.float32]]

GroupScorer = Callable[[Indices, Indices], npt.NDArray[np.float32]]
"""A function from users ``(n,)`` and items of each ``(n, m)`` to logits ``(n, m)``."""

_PAIRS_AT_ONCE = 1 << 12  # so that hidden layers stay in the cache


def scorer(model: Network) -> Scorer:
    """Make a function from user and item indices, int of shape ``(n,)``, to logits, float32."""
    score = group_scorer(model)
    return lambda users, items: score(users, items[:, None])[:, 0]


def group_scorer(model: Network) -> GroupScorer:
    """Make a function that scores each user with its own items, with the model's current weights.

    Each item's side is computed once, here, and a user's side once a call; for a pair, only the
    later layers remain.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        catalogue = model.item_side(torch.arange(model.n_items, device=device))
    model.train(was_training)

    @torch.inference_mode()
    def score(users: Indices, items: Indices) -> npt.NDArray[np.float32]:
        was_training = model.training
        model.eval()
        logits = np.empty(items.shape, np.float32)
        step = max(1, _PAIRS_AT_ONCE // max(1, items.shape[1]))
        for start in range(0, users.size, step):
            part = slice(start, start + step)
            user, item = (
                torch.from_numpy(np.array(indices[part])).to(device) for indices in (users, items)
            )
            rows = tuple(functional.embedding(item, side) for side in catalogue)
            logits[part] = model.pair(model.user_side(user), rows).cpu().numpy()
        model.train(was_training)
        return logits

    return score
