"""Networks with made-up weights: what they score matters, not what they learnt."""

import numpy as np

from ncf.models.architecture import Architecture, build
from ncf.models.kinds import Kind
from ncf.models.weights import Weights


def random_weights(kind: Kind, layers: int, n_users: int, n_items: int, seed: int) -> Weights:
    """Weights of a network of 4 factors, drawn so that logits spread over some units."""
    return drawn_weights(Architecture(kind, n_users, n_items, 4, layers), seed)


def drawn_weights(
    architecture: Architecture, seed: int, spread: float = 1.0, tastes: int | None = None
) -> Weights:
    """Random weights; users differ in all directions, or as trained ones do in few tastes."""
    rng = np.random.default_rng(seed)
    model = build(architecture)
    weights = {}
    for name, tensor in model.state_dict().items():
        scale = (
            spread if name.endswith(("user.weight", "item.weight")) else tensor.shape[-1] ** -0.5
        )
        weights[name] = rng.normal(0, scale, tuple(tensor.shape)).astype(np.float32)
    if tastes is not None and "mlp.user.weight" in weights:
        users, width = weights["mlp.user.weight"].shape
        mixed = rng.normal(size=(users, tastes)) @ rng.normal(size=(tastes, width))
        weights["mlp.user.weight"] = (spread * tastes**-0.5 * mixed).astype(np.float32)
    return weights
