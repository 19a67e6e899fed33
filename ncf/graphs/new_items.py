"""Vectors of items that the model was not trained on, from the rows of those who took them."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ncf.graphs.fold_in import features
from ncf.graphs.tower import Floats, branches
from ncf.models.weights import Weights


def with_new_items(
    weights: Weights, rows: Floats, item_map: Floats, takers: Mapping[int, npt.NDArray[np.int64]]
) -> Weights:
    """Add items behind the catalogue.

    It is the mirror image of folding in: an item's vector is a linear map of the rows of those
    who took it, which was fitted on the items that the model knows. Both branches' vectors come
    from one map; the tower's share of an item follows from its vector.

    Parameters
    ----------
    weights : dict
        Weights of a GMF, an MLP or a NeuMF.
    rows : float32 array of shape (users, d)
        User rows of the top-K graphs.
    item_map : float32 array of shape (3 d + 3, v)
        The map.
    takers : mapping of int to int64 array
        Distinct users who took each new item, by its number from 0.

    Returns
    -------
    dict
        The same weights with longer item embeddings.
    """
    sums = np.zeros((len(takers), rows.shape[1]))
    counts = np.array([takers[item].size for item in range(len(takers))], np.int64)
    for item in range(len(takers)):
        sums[item] = rows[takers[item]].sum(axis=0, dtype=np.float64)
    vectors = (features(sums, counts) @ item_map.astype(np.float64)).astype(np.float32)
    grown, start = dict(weights), 0
    for branch in branches(weights):
        name = f"{branch}.item.weight"
        width = weights[name].shape[1]
        grown[name] = np.concatenate([weights[name], vectors[:, start : start + width]])
        start += width
    return grown
