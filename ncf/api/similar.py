"""Find similar items by the cosine of their vectors."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from ncf.columns import Columns
from ncf.errors import ArtifactError, RequestError
from ncf.graphs.initializers import read_initializers
from ncf.scoring.bundle import Bundle
from ncf.scoring.ranker import check_k

Vectors = npt.NDArray[np.float32]

# Names of item embeddings in the pair graph.
_EMBEDDINGS = ("gmf.item.weight", "mlp.item.weight")


def item_vectors(bundle: Bundle) -> Vectors:
    """Read a unit vector for each item, float32 of shape ``(items, d)``.

    It is the item's embedding, scaled to length 1; in a NeuMF it is the embeddings of the GMF and
    the MLP branch, side by side.

    Raises
    ------
    ArtifactError
        The bundle's graph holds no embedding of items.
    """
    weights = read_initializers(bundle.score_graph, _EMBEDDINGS)
    found = [weights[name] for name in _EMBEDDINGS if name in weights]
    if not found:
        raise ArtifactError("the graph has no embedding of items", where=bundle.score_graph)
    vectors = np.concatenate(found, axis=1)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: Vectors = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return units


def most_similar(
    vectors: Vectors, item: int, k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Find the items whose unit vectors have the largest cosine with that of an item.

    Parameters
    ----------
    vectors : float32 array of shape (items, d)
        Unit vectors.
    item : int
        Index of the item, which is never among the answers.
    k : int
        Largest number of answers.

    Returns
    -------
    items : int64 array
        Indices, most similar first; ties by ascending index.
    cosines : float32 array
        In [-1, 1].

    Examples
    --------
    >>> units = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    >>> most_similar(units, 2, 5)[0].tolist()
    [1, 0]
    """
    cosines = np.clip(vectors @ vectors[item], -1, 1)
    order = np.argsort(-cosines, kind="stable")
    chosen = order[order != item][:k]
    return chosen, cosines[chosen]


def similar_frame(bundle: Bundle, vectors: Vectors, item: str, k: int) -> pd.DataFrame:
    """List the items most similar to a raw id: rank, id, title and cosine.

    Raises
    ------
    UsageError
        ``k`` is less than 1.
    RequestError
        The bundle does not know the item.
    """
    check_k(k)
    items = bundle.items
    index = items.index(item)
    if index is None:
        raise RequestError(
            f"unknown item {item!r}",
            remedy="give an id that is in the ratings",
            code="unknown_item",
            http_status=404,
        )
    found, cosines = most_similar(vectors, index, k)
    return pd.DataFrame(
        {
            Columns.RANK: np.arange(1, found.size + 1),
            Columns.ITEM_ID: [items.raw[each] for each in found.tolist()],
            Columns.TITLE: [items.title(each) for each in found.tolist()],
            "similarity": cosines,
        }
    )
