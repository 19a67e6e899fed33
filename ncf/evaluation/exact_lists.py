"""A checkpoint's top-K lists, by the graph that its bundle would hold, without writing one."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ncf.devices import Device
from ncf.errors import ArtifactError
from ncf.graphs.topk import FORMS, topk_graph, user_rows
from ncf.graphs.tower import row_width
from ncf.models.weights import Weights
from ncf.scoring.bundle import Bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.ranker import Users
from ncf.scoring.seen import Seen
from ncf.training.checkpoint import Checkpoint


@dataclass(frozen=True)
class Unwritten(Bundle):
    """What a ranker needs of a bundle, of weights that are in memory.

    Parameters
    ----------
    weights : dict
        Of a GMF, an MLP or a NeuMF.
    known : Seen
        What users do not get.
    """

    weights: Weights
    known: Seen

    def topk_graph(self, device: Device) -> bytes:
        """Build the form of the graph that suits a device."""
        return topk_graph(self.weights, FORMS[device])

    @cached_property
    def user_rows(self) -> npt.NDArray[np.float32]:
        """One row a user, as the top-K graph takes them."""
        return np.concatenate(list(user_rows(self.weights)))

    @cached_property
    def seen(self) -> Seen:
        """What users do not get."""
        return self.known


def list_maker(
    checkpoint: Checkpoint,
    known: sparse.csr_array,
    device: Device = Device.CPU,
    pool: Executor | None = None,
) -> Callable[[Users, int], npt.NDArray[np.int64]]:
    """Make a function from users and K to their lists, as the batch job ranks.

    Parameters
    ----------
    checkpoint : Checkpoint
        The trained model.
    known : sparse array of shape (users, items)
        Its entries are what users do not get.
    device : Device
        Where to compute.
    pool : Executor, optional
        Threads that rank blocks of users side by side; each call of the graph takes one.

    Returns
    -------
    callable
        From user indices, int64 of shape ``(n,)``, and K to item indices, int64 of shape
        ``(n, min(K, items))``, best first, ties by ascending index; -1 pads.

    Raises
    ------
    CapabilityError
        CUDA was asked for and cannot be had.
    """
    architecture, weights = checkpoint.architecture, checkpoint.weights
    sizes = {"n_users": architecture.n_users, "n_items": architecture.n_items}
    bundle = Unwritten(
        checkpoint.path,
        {"model": {**sizes, "row_width": row_width(weights)}},
        weights,
        Seen(known.indptr, known.indices, architecture.n_items),
    )
    ranker = ExactRanker.open(bundle, device, threads=1)

    def lists(users: Users, k: int) -> npt.NDArray[np.int64]:
        top = ranker.rank(users, k, pool)
        if np.isposinf(top.scores).any():
            raise ArtifactError("the model scores infinity", where=checkpoint.path)
        return np.where(top.valid(), top.items, -1)

    return lists
