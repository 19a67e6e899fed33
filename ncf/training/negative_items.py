"""Find the items that training may push down: those that have a training pair."""

import numpy as np
import numpy.typing as npt

from ncf.data.interactions import Interactions


def negative_items(train: Interactions) -> npt.NDArray[np.int32]:
    """List the items that may be negatives: those with a training pair.

    A split may hold out all pairs of an item. Such an item is in the catalogue, but training knows
    nothing of it; to it, "nobody has the item" is no evidence that nobody wants it. So it is a
    negative for nobody. Which items these are follows from the training pairs alone.

    Parameters
    ----------
    train : Interactions
        Training pairs.

    Returns
    -------
    int32 array of shape (n,)
        Indices, ascending. If every user of the training has all of these items, there would be
        no negative at all; then the whole catalogue is listed.

    Examples
    --------
    >>> pairs = Interactions(np.array([0, 0, 1], np.int32), np.array([0, 2, 2], np.int32), 2, 4)
    >>> negative_items(pairs).tolist()
    [0, 2]
    """
    trained = np.flatnonzero(np.bincount(train.items, minlength=train.n_items))
    counts = np.bincount(train.users)
    if not len(train) or counts[counts > 0].min() >= len(trained):
        trained = np.arange(train.n_items)
    return trained.astype(np.int32)
