"""The common tutorial's way to train NCF, written out as it is done: the peer to be faster than.

Python lists, rejection in a loop, a Dataset of single samples, batches of 256, the whole first
layer for every pair, and evaluation of one test case (100 pairs) at a time.
"""

import random

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ncf.data.interactions import Interactions
from ncf.models.architecture import Architecture
from ncf.models.kinds import Kind
from ncf.training.checkpoint import Checkpoint

BATCH = 256
NEGATIVES = 4


class TutorialNetwork(nn.Module):
    """GMF, MLP or NeuMF over concatenated embeddings; its parameters are named as ours."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        width = 0
        if shape.kind is not Kind.MLP:
            self.gmf = _Tables(shape, shape.gmf_width)
            width += shape.gmf_width
        if shape.kind is not Kind.GMF:
            wide = shape.factors * 2 ** (shape.layers - 1)
            self.mlp = _Tables(shape, wide)
            self.mlp.tower = nn.ModuleList(
                nn.Linear(2 * wide // 2**layer, wide // 2**layer) for layer in range(shape.layers)
            )
            for linear in self.mlp.tower:
                nn.init.xavier_uniform_(next(linear.parameters()))
            width += shape.factors
        self.output = nn.Linear(width, 1)
        nn.init.kaiming_uniform_(self.output.weight, a=1, nonlinearity="sigmoid")

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Turn indices of shape ``(n,)`` into logits of shape ``(n,)``."""
        features = []
        if hasattr(self, "gmf"):
            features.append(self.gmf.user(user) * self.gmf.item(item))
        if hasattr(self, "mlp"):
            hidden = torch.cat([self.mlp.user(user), self.mlp.item(item)], dim=-1)
            for linear in self.mlp.tower:
                hidden = torch.relu(linear(hidden))
            features.append(hidden)
        logits: Tensor = self.output(torch.cat(features, dim=-1)).squeeze(-1)
        return logits


class _Tables(nn.Module):
    tower: nn.ModuleList

    def __init__(self, shape: Architecture, width: int) -> None:
        super().__init__()
        self.user = nn.Embedding(shape.n_users, width)
        self.item = nn.Embedding(shape.n_items, width)
        nn.init.normal_(self.user.weight, std=0.01)
        nn.init.normal_(self.item.weight, std=0.01)


class TrainingSet(Dataset[tuple[int, int, float]]):
    """Samples one by one, as lists."""

    def __init__(self, train: Interactions) -> None:
        self.positives = list(zip(train.users.tolist(), train.items.tolist(), strict=True))
        self._known = set(self.positives)
        self._n_items = train.n_items
        self.samples: list[tuple[int, int, float]] = []

    def draw(self, positives: list[tuple[int, int]]) -> None:
        """Draw four negatives for each positive, by trying until an item is not known."""
        self.samples = [(user, item, 1.0) for user, item in positives]
        for user, _ in positives:
            for _ in range(NEGATIVES):
                item = random.randrange(self._n_items)  # noqa: S311
                while (user, item) in self._known:
                    item = random.randrange(self._n_items)  # noqa: S311
                self.samples.append((user, item, 0.0))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[int, int, float]:
        return self.samples[index]


def train(model: nn.Module, optimizer: torch.optim.Optimizer, samples: TrainingSet) -> None:
    """Take one pass over the drawn samples."""
    model.train()
    loss_of = nn.BCEWithLogitsLoss()
    for users, items, labels in DataLoader(samples, batch_size=BATCH, shuffle=True):
        optimizer.zero_grad()
        loss = loss_of(model(users, items), labels.float())
        loss.backward()
        optimizer.step()


class EvaluationSet(Dataset[tuple[int, int]]):
    """Test cases one after another: the positive, then its negatives."""

    def __init__(self, users: list[int], items: list[list[int]]) -> None:
        self._rows = [(u, i) for u, each in zip(users, items, strict=True) for i in each]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[int, int]:
        return self._rows[index]


@torch.no_grad()
def evaluate(model: nn.Module, cases: EvaluationSet, size: int) -> tuple[float, float]:
    """HR@10 and NDCG@10, a batch of ``size`` rows a case."""
    model.eval()
    hits, gains = [], []
    for users, items in DataLoader(cases, batch_size=size):
        _, best = torch.topk(model(users, items), 10)
        ranked = torch.take(items, best).tolist()
        positive = int(items[0])
        hits.append(float(positive in ranked))
        gains.append(1 / np.log2(ranked.index(positive) + 2) if positive in ranked else 0.0)
    return float(np.mean(hits)), float(np.mean(gains))


def network_of(checkpoint: Checkpoint) -> nn.Module:
    """Make the tutorial's network with a checkpoint's weights."""
    model = TutorialNetwork(checkpoint.architecture)
    model.load_state_dict({name: torch.from_numpy(w) for name, w in checkpoint.weights.items()})
    return model.eval()
