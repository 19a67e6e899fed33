"""Train GMF by blocks: each user once in an epoch, against all items or a random part of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from ncf.data.interactions import Interactions
from ncf.errors import UsageError
from ncf.models.networks import GMF
from ncf.progress import Reporter
from ncf.training.average import Average
from ncf.training.block_parts import Columns, TrainingPairs, columns_of, unseen_weights
from ncf.training.blocks import Gradients, Pairs, Rows, Scratch, Weights, gradients
from ncf.training.negative_items import negative_items
from ncf.training.ranks import Ranks
from ncf.training.user_adam import UserAdam

if TYPE_CHECKING:
    from ncf.training.schedule import Blocks, Schedule

_SPANS = 8  # in an epoch; the average is updated after each
_MEASURED = 8  # one block of so many has its loss measured
_START = 3.0  # factor on the embeddings' initial values
_BETAS = (0.9, 0.99)  # of items
_TRUST = 0.5  # share of an item's log odds that its bias starts with; 1 learned less on dense data


class BlockEpochs:
    """The epochs of a GMF that learns from all pairs; see :mod:`ncf.training.blocks`.

    The rows of a block's users take one step of Adam by row, and all items one of Adam. The output
    layer's weights stay 1, as they could only scale the factors; its bias is trained.

    A catalogue of more than twice ``blocks.items`` is not taken whole: each block has a random part
    of it, whose unseen pairs weigh ``items / part`` times as much, and the items of its training
    pairs. The expectation of the gradient is the same.

    With several processes, each steps its own users, and the gradients of items are summed, so that
    a step has as many users as in one process. Users' rows are exchanged after each epoch.

    Parameters
    ----------
    model : GMF
        The network, changed in place.
    schedule : Schedule
        ``learning_rate`` is that of items and of the bias; ``l2`` weights the squares of a row,
        times the square root of its count of pairs.
    blocks : Blocks
        The blocks of the schedule.
    train : Interactions
        Training pairs.
    ranks : Ranks
        The processes that share the work.

    Raises
    ------
    UsageError
        There is no training pair, or no user has an unseen item.
    """

    def __init__(
        self,
        model: GMF,
        schedule: "Schedule",
        blocks: "Blocks",
        train: Interactions,
        ranks: Ranks,
    ) -> None:
        self.device = model.output.bias.device
        self._table = cast("nn.Parameter", model.gmf.user.weight)
        self._model, self._schedule, self._blocks, self._ranks = model, schedule, blocks, ranks
        self._seen = TrainingPairs.on(self.device, train)
        users = np.flatnonzero(self._seen.counts.cpu().numpy())
        listed = len(negative_items(train))
        if not len(users) or int(self._seen.counts[users].min()) == listed:
            raise UsageError(
                "nothing to learn from: no user has both a training pair and an unseen item",
                remedy="prepare more interactions",
            )
        self._own = torch.from_numpy(users[ranks.rank :: ranks.size]).to(self.device)
        self._users = len(users)
        size = min(blocks.users, -(-self._users // blocks.steps))
        self._steps = -(-self._users // size)
        self._unseen = unseen_weights(blocks, train, self.device)
        self._scratch = Scratch()
        self._start(train)
        self.average = Average(model, schedule.averaging)
        table, bias = model.gmf.item.weight, model.output.bias
        self._of_users = UserAdam([self._table], blocks.user_rate)
        self._of_items = Adam([table, bias], schedule.learning_rate, _BETAS, fused=True)
        self.optimizers: list[Optimizer] = [self._of_users, self._of_items]

    def __len__(self) -> int:
        """Count the training pairs of an epoch, over all processes."""
        return int(self._seen.indices.numel())

    def train(self, seed: int, epoch: int, progress: Reporter) -> float:
        """Train on every user once.

        Parameters
        ----------
        seed, epoch : int
            Determine the order of users, and the parts of the catalogue.
        progress : Reporter
            Counts training pairs.

        Returns
        -------
        float
            Mean loss of a training pair and its share of the unseen pairs, in nats, over a sample
            of the blocks.
        """
        decay = self._schedule.decay**epoch
        self._of_users.param_groups[0]["lr"] = self._blocks.user_rate * decay
        self._of_items.param_groups[0]["lr"] = self._schedule.learning_rate * decay
        measured = torch.zeros(2, dtype=torch.float64)
        since = float(epoch)
        for number, (users, pairs, columns) in enumerate(self._parts(seed, epoch)):
            found = self._step(users, pairs, columns, epoch, with_loss=number % _MEASURED == 0)
            if found.loss is not None:
                measured += torch.tensor([found.loss, len(pairs.users)], dtype=torch.float64)
            progress.advance(len(pairs.users) * self._ranks.size)
            now = epoch + (number + 1) / self._steps
            if now >= since + 1 / _SPANS and number + 1 < self._steps:
                self.average.take(self._model, since, now)
                since = now
        self.average.take(self._model, since, epoch + 1)
        self._exchange()
        total, count = self._ranks.total(measured.to(self.device)).tolist()
        return float(total / count)

    @torch.no_grad()
    def _step(
        self, users: Tensor, pairs: Pairs, columns: Columns, epoch: int, *, with_loss: bool
    ) -> Gradients:
        """Step the rows of some users and, over all processes, those of the items."""
        model, l2 = self._model, 2 * self._schedule.l2
        table, rows = model.gmf.item.weight, model.gmf.user.weight[users]
        unseen = Weights(self._unseen.users[users], columns.weights)
        items = table if columns.chosen is None else self._rows_of(columns.chosen)
        block = Rows(rows, items, model.output.bias)
        found = gradients(block, pairs, unseen, with_loss=with_loss, scratch=self._scratch)
        counts = self._seen.counts[users].sqrt().unsqueeze(-1)
        of_users = found.users.addcmul_(rows, counts, value=l2)
        of_users[:, 0] = 0  # the factor that stands for items' biases
        share = len(users) / self._users
        if table.grad is None:  # kept: a large array costs more to get than to fill
            table.grad = torch.empty_like(table)
        torch.mul(table, self._seen.of_items.mul(l2 * share).unsqueeze(-1), out=table.grad)
        if columns.chosen is None:
            table.grad += found.items
        else:
            table.grad.index_add_(0, columns.chosen, found.items)
        self._ranks.total(table.grad)
        model.output.bias.grad = self._ranks.total(found.bias)
        self._of_items.step()
        self._of_users.step_rows(self._table, users, of_users, epoch + 1)
        return found

    def _rows_of(self, items: Tensor) -> Tensor:
        """Gather the rows of some items."""
        table = self._model.gmf.item.weight
        rows = self._scratch.array("items", (len(items), table.shape[1]), table)
        return torch.index_select(table, 0, items, out=rows)

    def _parts(self, seed: int, epoch: int) -> Iterator[tuple[Tensor, Pairs, Columns]]:
        """Yield this process's users of each step, with their pairs and the items to rank."""
        sequence = np.random.SeedSequence([seed, epoch, self._ranks.rank])
        random = np.random.default_rng(sequence)
        order = torch.from_numpy(random.permutation(len(self._own))).to(self.device)
        for part in torch.tensor_split(order, self._steps):
            users = self._own[part]
            pairs, columns = columns_of(
                self._seen.of(users), self._unseen.items, self._blocks.items, random
            )
            yield users, pairs, columns

    @torch.no_grad()
    def _start(self, train: Interactions) -> None:
        """Set the initial weights: the first factor is an item's popularity, the same for all.

        The users' side of that factor stays 1, so that its items' side acts as an item's bias; it
        starts at half the log odds of the item's pairs. So what all users have in common need not
        be learned by each of them. L2 holds the bias back like any factor: without that, MovieLens
        1M ended 0.010 of NDCG@10 lower.
        """
        users, items, output = (
            self._model.gmf.user.weight,
            self._model.gmf.item.weight,
            self._model.output,
        )
        users.mul_(_START)
        items.mul_(_START)
        output.weight.fill_(1)
        weight = float(self._unseen.users[0])
        of_items = weight * self._unseen.items.double()
        counts = torch.from_numpy(np.bincount(train.items, minlength=train.n_items))
        counts = counts.to(of_items)
        without = (self._users - counts) * of_items
        odds = torch.log((counts + 1) / (without + 1))
        middle = float(torch.log(len(train) / without.sum().clamp(min=1e-9)))
        output.bias.fill_(middle)
        users[:, 0] = 1
        items[:, 0] = _TRUST * (odds - middle).float()

    def _exchange(self) -> None:
        """Give every process the rows of all users, in weights, average and optimizer."""
        if self._ranks.size == 1:
            return
        table = self._table
        average = self.average.network.branches()[0].user.weight
        with torch.no_grad():
            for rows in (table.data, average.data, *self._of_users.state[table].values()):
                own = rows[self._own]
                rows.zero_()
                rows[self._own] = own
                self._ranks.total(rows)
