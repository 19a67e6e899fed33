"""Combine an optimizer for dense parameters with one for tables of which a step uses few rows."""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from ncf.models.networks import Network
from ncf.training.row_adam import RowAdam

_SPARSE_FROM = 16  # rows of a table for each row that a step uses; measured on CPUs


class Steps(Protocol):
    """The part of a schedule that an optimizer needs."""

    @property
    def optimizer(self) -> str:
        """``"adam"`` or ``"sgd"``."""

    @property
    def learning_rate(self) -> float:
        """Step size, above 0."""


class Optimizers:
    """The optimizers of one network.

    Embedding tables much larger than a batch get sparse gradients and steps by row, so that the
    cost of a step depends on the rows it uses; the result is the same.

    Parameters
    ----------
    model : Network
        The network; its embeddings are set to sparse or dense gradients.
    schedule : Steps
        Names the optimizer and its rate.
    users, items : int
        Largest number of rows that a step uses.
    by_row : bool
        Whether gradients may be sparse. They may not where processes average them: gloo's sparse
        all-reduce sometimes corrupts memory (PyTorch 2.13), and NCCL has none.
    """

    def __init__(
        self, model: Network, schedule: Steps, users: int, items: int, *, by_row: bool
    ) -> None:
        branches = model.branches() if by_row else []
        self._users = [b.user for b in branches if _large(b.user, users)]
        self._items = [b.item for b in branches if _large(b.item, items)]
        for embedding in (*self._users, *self._items):
            embedding.sparse = True
        rows = [embedding.weight for embedding in (*self._users, *self._items)]
        known = {id(table) for table in rows}
        rest = [each for each in model.parameters() if id(each) not in known]
        self._rows: RowAdam | None = None
        rate = schedule.learning_rate
        self.each: list[Optimizer] = []
        if schedule.optimizer == "sgd":
            self.each.append(SGD(rest, lr=rate, fused=True))
            if rows:
                self.each.append(SGD(rows, lr=rate))
        else:
            self.each.append(Adam(rest, lr=rate, fused=True))
            if rows:
                self._rows = RowAdam(rows, lr=rate)
                self.each.append(self._rows)

    def set_rate(self, rate: float) -> None:
        """Set the learning rate for the following steps."""
        for optimizer in self.each:
            for group in optimizer.param_groups:
                group["lr"] = rate

    def prepare(self, users: Tensor, items: Tensor) -> None:
        """Bring the rows that the next step reads up to date."""
        if self._rows is None:
            return
        for embeddings, indices in ((self._users, users), (self._items, items)):
            if embeddings:
                rows = torch.unique(indices).long()
                for embedding in embeddings:
                    self._rows.catch_up(embedding.weight, rows)

    def zero_grad(self) -> None:
        """Clear all gradients."""
        for optimizer in self.each:
            optimizer.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Update all parameters by their gradients."""
        for optimizer in self.each:
            optimizer.step()

    def finish(self) -> None:
        """Bring every row up to date, so that the network can be used."""
        if self._rows is not None:
            for embedding in (*self._users, *self._items):
                self._rows.catch_up(embedding.weight)


def _large(embedding: nn.Embedding, touched: int) -> bool:
    return embedding.num_embeddings >= _SPARSE_FROM * touched
