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


def numpy_folded(
    weights: Mapping[str, npt.NDArray[np.float32]],
    matrix: npt.NDArray[np.float32],
    history: set[int],
) -> list[float]:
    """Logits of every item for a user who is known by a history alone, in double precision."""
    wide = {name: array.astype(np.float64) for name, array in weights.items()}
    branches = [each for each in ("gmf", "mlp") if f"{each}.item.weight" in wide]
    vectors = np.concatenate([wide[f"{each}.item.weight"] for each in branches], axis=1)
    total = sum((vectors[item] for item in sorted(history)), np.zeros(vectors.shape[1]))
    m, log = max(len(history), 1), np.log(1 + len(history))
    x = np.concatenate([total / m**0.5, total / m, total * log / m, [log, log * log, 1.0]])
    row = x @ matrix.astype(np.float64)
    logits = np.full(len(vectors), wide["output.bias"][0])
    head, width = wide["output.weight"][0], 0
    if "gmf" in branches:
        width = wide["gmf.item.weight"].shape[1]
        logits += wide["gmf.item.weight"] @ row[:width]
    if "mlp" in branches:
        items, first = wide["mlp.item.weight"], wide["mlp.tower.0.weight"]
        hidden = items @ first[:, -items.shape[1] :].T + wide["mlp.tower.0.bias"] + row[width:]
        layer = 1
        while f"mlp.tower.{layer}.weight" in wide:
            hidden = np.maximum(hidden, 0) @ wide[f"mlp.tower.{layer}.weight"].T
            hidden = hidden + wide[f"mlp.tower.{layer}.bias"]
            layer += 1
        logits += np.maximum(hidden, 0) @ head[width:]
    return [float(each) for each in logits]
