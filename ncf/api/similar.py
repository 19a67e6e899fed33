"""Items that a model holds for alike, by their vectors."""

import numpy as np
import numpy.typing as npt

from ncf.errors import ArtifactError
from ncf.scoring.bundle import Bundle

Vectors = npt.NDArray[np.float32]

# Parameters of the networks, as the pair graph carries them.
_EMBEDDINGS = ("gmf.item.weight", "mlp.item.weight")


def item_vectors(bundle: Bundle) -> Vectors:
    """Read a unit vector an item, float32 of shape ``(items, d)``.

    It is the item's embedding; that of a NeuMF is the embeddings of its GMF and of its MLP, side
    by side.

    Raises
    ------
    ArtifactError
        The bundle's graph holds no embedding of items.
    """
    import onnx  # nothing else that a bundle does needs it
    from onnx.external_data_helper import (
        load_external_data_for_tensor,
        uses_external_data,
    )

    graph = onnx.load(bundle.score_graph, load_external_data=False).graph
    found = []
    for tensor in sorted(graph.initializer, key=lambda each: each.name):
        if tensor.name in _EMBEDDINGS:
            if uses_external_data(tensor):
                load_external_data_for_tensor(tensor, str(bundle.path))
            found.append(onnx.numpy_helper.to_array(tensor))
    if not found:
        raise ArtifactError("holds no embedding of items", where=bundle.score_graph)
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
        Of length one.
    item : int
        Index; never among the answers.
    k : int
        Answers at most.

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
