"""Make a model's exact top-K lists directly from its weights, as the batch does."""

from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ncf.devices import Device
from ncf.errors import ArtifactError
from ncf.evaluation.lists import Rank
from ncf.graphs.topk import FORMS, topk_graph, user_rows
from ncf.graphs.tower import catalogue_size
from ncf.models.weights import Weights
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.exact import ExactRanker
from ncf.scoring.ranker import Users
from ncf.scoring.seen import Seen
from ncf.scoring.sessions import open_session


def exact_lists(
    weights: Weights,
    seen: sparse.csr_array,
    device: Device = Device.CPU,
    pool: Executor | None = None,
    where: Path | None = None,
) -> Rank:
    """Make a function that gives users their lists of K.

    The function ranks with the graph that a bundle of these weights would hold; no file is written.

    Parameters
    ----------
    weights : dict
        Weights of a GMF, an MLP or a NeuMF.
    seen : sparse array of shape (users, items)
        Stored entries are the items that users do not get.
    device : Device
        Where to compute.
    pool : Executor, optional
        Threads that rank blocks of users side by side; each call of the graph uses one.
    where : Path, optional
        Origin of the weights, for messages.

    Returns
    -------
    callable
        It takes user indices, int64 of shape ``(n,)``, and K. It returns item indices, int64 of
        shape ``(n, min(K, items))``, best first, ties by ascending index; -1 pads.

    Raises
    ------
    CapabilityError
        CUDA was asked for and is not available.
    """
    n_items = catalogue_size(weights)
    session = open_session(lambda form: topk_graph(weights, FORMS[form]), device, threads=1)
    rows = np.concatenate(list(user_rows(weights)))
    unseen = Eligibility.whole_catalogue(n_items, Seen(seen.indptr, seen.indices, n_items))
    ranker = ExactRanker(session, rows, unseen, where=where)

    def lists(users: Users, k: int) -> npt.NDArray[np.int64]:
        top = ranker.rank(users, k, pool)
        if np.isposinf(top.scores).any():
            raise ArtifactError("the model gives an infinite score", where=where)
        return np.where(top.valid(), top.items, -1)

    return lists
