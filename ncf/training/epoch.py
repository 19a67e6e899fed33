"""One epoch: draw fresh negatives, shuffle, step through batches."""

import logging
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from ncf.data.interactions import Interactions
from ncf.data.negatives import UnseenItems
from ncf.errors import UsageError
from ncf.progress import Reporter

logger = logging.getLogger(__name__)


class Samples:
    """Training samples: every positive, and fresh negatives each epoch.

    Parameters
    ----------
    train : Interactions
        Positives; negatives are drawn from what a user has no training pair with.
    negatives : int
        Drawn for each positive. A user who saw every item gets none.
    batch_size : int
        Samples a step, positives and negatives together.

    Raises
    ------
    UsageError
        There is no training pair, or no user has an unseen item.
    """

    def __init__(self, train: Interactions, negatives: int, batch_size: int) -> None:
        self._train = train
        self._batch_size = batch_size
        self._unseen = UnseenItems(train.csr())
        with_unseen = train.users[self._unseen.counts[train.users] > 0]
        if with_unseen.size == 0:
            raise UsageError(
                "nothing to learn from: no user has both a training pair and an unseen item",
                remedy="prepare more interactions",
            )
        self._negative_users = np.repeat(with_unseen, negatives)

    def __len__(self) -> int:
        """Count samples of an epoch."""
        return len(self._train) + self._negative_users.size

    def batches(
        self, rng: np.random.Generator, device: torch.device
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield users, items (int32) and labels (float32) of each batch, in random order."""
        drawn = self._unseen.draw(self._negative_users, rng)
        order = torch.from_numpy(rng.permutation(len(self)))
        users = _on(np.concatenate([self._train.users, self._negative_users]), order, device)
        items = _on(np.concatenate([self._train.items, drawn]), order, device)
        labels = (order < len(self._train)).to(device, torch.float32)
        for start in range(0, len(self), self._batch_size):
            batch = slice(start, start + self._batch_size)
            yield users[batch], items[batch], labels[batch]


def train_epoch(
    model: nn.Module,
    optimizer: Optimizer,
    samples: Samples,
    rng: np.random.Generator,
    progress: Reporter,
) -> float:
    """Train on every sample once.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    optimizer : Optimizer
        Over the model's parameters.
    samples : Samples
        Positives and negatives.
    rng : numpy.random.Generator
        Decides negatives, order and dropout.
    progress : Reporter
        Counts samples.

    Returns
    -------
    float
        Mean binary cross-entropy over the samples, in nats.
    """
    device = next(model.parameters()).device
    torch.manual_seed(int(rng.integers(2**63)))  # dropout
    model.train()
    total = torch.zeros((), dtype=torch.float64, device=device)
    for users, items, labels in samples.batches(rng, device):
        optimizer.zero_grad(set_to_none=True)
        loss = functional.binary_cross_entropy_with_logits(model(users, items), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.detach() * len(labels)
        progress.advance(len(labels))
    model.eval()
    return float(total) / len(samples)


def _on(values: npt.NDArray[np.int32], order: Tensor, device: torch.device) -> Tensor:
    return torch.from_numpy(values)[order].to(device)
