"""Run one epoch: draw new negatives, shuffle, and learn from batches of users with their items."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ncf.data.interactions import Interactions
from ncf.data.negatives import UnseenItems
from ncf.errors import UsageError
from ncf.models.networks import Network
from ncf.pairs import among
from ncf.progress import Reporter
from ncf.training.average import Average
from ncf.training.negative_items import negative_items
from ncf.training.negatives import Negatives
from ncf.training.optimizers import Optimizers
from ncf.training.ranks import Ranks

_POSITIVES_AT_ONCE = 1 << 20
_SPANS = 16  # in an epoch; the average is updated after each


class Batch(NamedTuple):
    """Users, int32 of shape ``(n,)``, with items ``(n, 1 + negatives)``, the positive first."""

    users: Tensor
    items: Tensor


class Samples:
    """Makes training samples: every positive with new negatives of its user in each epoch.

    A user who has seen all items that may be negatives has no part in training. An epoch runs in
    parts of a million positives, so that memory is bounded; each part is an even sample of all
    pairs, and differs from epoch to epoch.

    Parameters
    ----------
    train : Interactions
        Positives, users ascending; negatives are :func:`negative_items` without a training pair
        of the user.
    negatives : int
        Number drawn for each positive.
    batch_size : int
        Samples in a step, positives and negatives together, over all processes.
    device : torch.device
        Device that draws negatives and holds batches.
    ranks : Ranks
        The processes that share the work; each takes its own positives.

    Raises
    ------
    UsageError
        There is no training pair, or no user has an unseen item.
    """

    def __init__(
        self,
        train: Interactions,
        negatives: int,
        batch_size: int,
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        items, matrix = negative_items(train), train
        if len(items) < train.n_items:
            places = np.zeros(train.n_items, np.int32)
            places[items] = np.arange(len(items), dtype=np.int32)
            matrix = replace(train, items=places[train.items], n_items=len(items))
        unseen = UnseenItems(matrix.csr())
        kept = unseen.counts[train.users] > 0
        self._train = train if kept.all() else train.take(kept)
        if not len(self._train):
            raise UsageError(
                "nothing to learn from: no user has both a training pair and an unseen item",
                remedy="prepare more interactions",
            )
        if len(self._train) < ranks.size:
            raise UsageError(
                f"{len(self._train)} training pairs are fewer than {ranks.size} processes",
                remedy="train on fewer processes",
            )
        self._unseen = Negatives(unseen, device, items)
        self._count = negatives
        self.device = device
        self.ranks = ranks
        whole = max(1, batch_size // (1 + negatives))
        self.groups = max(1, whole // ranks.size)
        """Number of positives in a step of this process."""
        self.parts = -(-len(self._train) // _POSITIVES_AT_ONCE)

    def leave_out(self, known: npt.NDArray[np.int64]) -> None:
        """Leave out positives that the network learned before, by their ascending keys.

        If there are no others, or fewer than processes, all stay.
        """
        new = self._train.take(~among(self._train.keys(), known))
        if len(new) >= self.ranks.size:
            self._train, self.parts = new, -(-len(new) // _POSITIVES_AT_ONCE)

    def __len__(self) -> int:
        """Count the samples of an epoch, positives and negatives, over all processes."""
        return len(self._train) * (1 + self._count)

    def batches(self, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield this process's batches of an epoch, in random order."""
        every = self.parts * self.ranks.size
        # All processes take equally many steps; the remaining pairs wait for the next epoch.
        count = len(self._train) // every if self.ranks.size > 1 else len(self._train)
        for part in range(self.parts):
            first = (part * self.ranks.size + self.ranks.rank + epoch) % every
            rows = np.arange(first, len(self._train), every)
            if len(rows) > count:
                rows = np.delete(rows, epoch % len(rows))
            yield from self._part(rows, self.seed(seed, epoch, part))

    def seed(self, *position: int) -> int:
        """Make a seed for a position in the training that differs between processes."""
        sequence = np.random.SeedSequence([*position, self.ranks.rank])
        return int(sequence.generate_state(1, np.uint64)[0] >> 1)

    def _part(self, rows: npt.NDArray[np.int64], seed: int) -> Iterator[Batch]:
        random = torch.Generator(self.device).manual_seed(seed)
        users = torch.from_numpy(self._train.users[rows]).to(self.device)
        positives = torch.from_numpy(self._train.items[rows]).to(self.device)
        negatives = self._unseen.draw(users, self._count, random)
        items = torch.cat([positives.unsqueeze(-1), negatives], dim=-1)
        order = torch.randperm(len(users), generator=random, device=self.device)
        for start in range(0, len(users), self.groups):
            taken = order[start : start + self.groups]
            yield Batch(users[taken], items[taken])


@dataclass(frozen=True)
class Learner:
    """A network with everything that changes it.

    Parameters
    ----------
    network : Network
        The network, changed in place.
    wrapped : nn.Module
        The network, or a wrapper that averages its gradients over processes.
    optimizers : Optimizers
        Optimizers of the network's parameters.
    average : Average
        Average of its weights.
    l2, l2_warmup : float
        Weight of the squared embeddings in the loss, and the number of epochs over which it rises
        from 0; see :class:`Schedule`.
    amp : bool
        Whether to compute in bfloat16 where it is safe.
    """

    network: Network
    wrapped: nn.Module
    optimizers: Optimizers
    average: Average
    l2: float = 0.0
    l2_warmup: float = 0.0
    amp: bool = False

    def loss(self, batch: Batch, epochs: float) -> tuple[Tensor, Tensor]:
        """Compute a batch's mean binary cross-entropy, and the minimised loss, which adds L2."""
        with torch.autocast(batch.users.device.type, torch.bfloat16, enabled=self.amp):
            logits = self.wrapped(batch.users, batch.items).float()
        entropy = (
            functional.softplus(-logits[:, 0]).sum() + functional.softplus(logits[:, 1:]).sum()
        )
        entropy = entropy / logits.numel()
        if not self.l2:
            return entropy, entropy
        weights = torch.full(batch.items.shape, 1 / max(1, batch.items.shape[1] - 1))
        weights[:, 0] = 1
        norm = self.network.squared_norm(*batch, weights.to(batch.items.device))
        risen = min(1.0, epochs / self.l2_warmup) if self.l2_warmup else 1.0
        return entropy, entropy + risen * self.l2 / len(batch.users) * norm

    def step(self, batch: Batch, epochs: float = math.inf) -> Tensor:
        """Learn from a batch after ``epochs`` epochs, and return its mean binary cross-entropy."""
        self.optimizers.prepare(*batch)
        entropy, loss = self.loss(batch, epochs)
        self.optimizers.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizers.step()
        return entropy.detach()


def train_epoch(
    learner: Learner, samples: Samples, seed: int, epoch: int, progress: Reporter
) -> float:
    """Train on every sample once.

    Parameters
    ----------
    learner : Learner
        Network and optimizers.
    samples : Samples
        Samples of the epoch.
    seed, epoch : int
        Determine negatives, order and dropout.
    progress : Reporter
        Counts samples.

    Returns
    -------
    float
        Mean binary cross-entropy over the samples, in nats.
    """
    torch.manual_seed(samples.seed(seed, epoch, samples.parts))  # dropout
    learner.network.train()
    total = torch.zeros((), dtype=torch.float64, device=samples.device)
    count, since, now = 0, float(epoch), float(epoch)
    own = len(samples) / samples.ranks.size
    for batch in samples.batches(seed, epoch):
        total += learner.step(batch, now) * batch.items.numel()
        count += batch.items.numel()
        progress.advance(batch.items.numel() * samples.ranks.size)
        now = epoch + count / own
        if learner.average.share and since + 1 / _SPANS <= now < epoch + 1:
            learner.optimizers.finish()
            learner.average.take(learner.network, since, now)
            since = now
    learner.optimizers.finish()
    learner.network.eval()
    learner.average.take(learner.network, since, epoch + 1)
    return float(samples.ranks.mean(total / count))
