"""Train any network on sampled negatives: the epochs of :mod:`ncf.training.epoch`."""

from typing import TYPE_CHECKING

from ncf.data.interactions import Interactions
from ncf.models.networks import Network
from ncf.progress import Reporter
from ncf.training.average import Average
from ncf.training.epoch import Learner, Samples, train_epoch
from ncf.training.optimizers import Optimizers
from ncf.training.ranks import Ranks
from ncf.training.schedule import Schedule

if TYPE_CHECKING:
    from torch.optim import Optimizer


class SampledEpochs:
    """The epochs of a network that learns from training pairs and sampled negatives.

    Parameters
    ----------
    model : Network
        The network, changed in place.
    schedule : Schedule
        Batches, negatives, optimizer, rate, L2.
    train : Interactions
        Training pairs.
    ranks : Ranks
        The processes that share the work.
    amp : bool
        Whether to compute in bfloat16 where it is safe.
    """

    def __init__(
        self, model: Network, schedule: Schedule, train: Interactions, ranks: Ranks, *, amp: bool
    ) -> None:
        self.device = next(model.parameters()).device
        negatives, size = schedule.negatives, schedule.batch_size
        self.samples = Samples(train, negatives, size, self.device, ranks)
        users = self.samples.groups * ranks.size
        touched = users, users * (1 + negatives)
        self._optimizers = Optimizers(model, schedule, *touched, by_row=ranks.size == 1)
        self.optimizers: list[Optimizer] = self._optimizers.each
        self.average = Average(model, schedule.averaging)
        wrapped, l2 = ranks.wrap(model), (schedule.l2, schedule.l2_warmup)
        self.learner = Learner(model, wrapped, self._optimizers, self.average, *l2, amp)
        self._schedule = schedule

    def __len__(self) -> int:
        """Count the samples of an epoch, over all processes."""
        return len(self.samples)

    def train(self, seed: int, epoch: int, progress: Reporter) -> float:
        """Train on every sample once, and return their mean binary cross-entropy, in nats."""
        self._optimizers.set_rate(self._schedule.learning_rate * self._schedule.decay**epoch)
        return train_epoch(self.learner, self.samples, seed, epoch, progress)
