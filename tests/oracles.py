"""The same answers, written the slow and obvious way."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def numpy_logit(weights: Mapping[str, npt.NDArray[np.float32]], user: int, item: int) -> float:
    """Logit of one pair in double precision, from the arrays of a safetensors file alone."""
    wide = {name: array.astype(np.float64) for name, array in weights.items()}
    features: list[Array] = []
    if "gmf.user.weight" in wide:
        features.append(wide["gmf.user.weight"][user] * wide["gmf.item.weight"][item])
    if "mlp.user.weight" in wide:
        hidden = np.concatenate([wide["mlp.user.weight"][user], wide["mlp.item.weight"][item]])
        layer = 0
        while f"mlp.tower.{layer}.weight" in wide:
            weight, bias = wide[f"mlp.tower.{layer}.weight"], wide[f"mlp.tower.{layer}.bias"]
            hidden = np.maximum(weight @ hidden + bias, 0)
            layer += 1
        features.append(hidden)
    joined = np.concatenate(features)
    return float(wide["output.weight"][0] @ joined + wide["output.bias"][0])


def best_unseen(scores: Mapping[int, float], seen: set[int], k: int) -> list[int]:
    """Top-K item indices by score, ties by index, seen ones left out."""
    unseen = [item for item in scores if item not in seen]
    return sorted(unseen, key=lambda item: (-scores[item], item))[:k]
