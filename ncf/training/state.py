"""Save the state of a training after each epoch in a sealed folder, so that it can continue."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.optim import Optimizer

from ncf.artifacts import Kind, canonical_json, open_sealed, seal, sealed_folder
from ncf.models.weights import Weights
from ncf.training.checkpoint import weights_of

STATE = Kind("training state", "state.json", 3, "train again with `resume=False`")
_TENSORS = "state.safetensors"
_PROGRESS = "progress.json"


@dataclass
class Progress:
    """The progress of a training.

    Parameters
    ----------
    history : list of dict
        One row for each epoch.
    best_epoch : int
        Epoch with the highest validation NDCG, from 1; 0 before the first.
    best : dict
        Weights of that epoch.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best: Weights = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    @property
    def best_row(self) -> dict[str, Any]:
        """History row of the best epoch."""
        return self.history[self.best_epoch - 1]

    def record(self, row: dict[str, Any], model: nn.Module) -> None:
        """Add an epoch; keep its weights as the best if its validation NDCG is the highest."""
        self.history.append(row)
        if self.best_epoch == 0 or row["ndcg"] > self.history[self.best_epoch - 1]["ndcg"]:
            self.best_epoch = self.epoch
            self.best = weights_of(model)


@dataclass(frozen=True)
class Learning:
    """The parts that change in training: weights, their average, optimizers."""

    model: nn.Module
    average: nn.Module
    optimizers: list[Optimizer]


def save_state(folder: Path, progress: Progress, learning: Learning, identity: str) -> None:
    """Write the state after a whole epoch; ``identity`` stands for its recipe and data."""
    tensors = {f"model.{name}": tensor for name, tensor in learning.model.state_dict().items()}
    average = learning.average.state_dict().items()
    tensors |= {f"average.{name}": tensor for name, tensor in average}
    tensors |= {f"best.{name}": torch.from_numpy(array) for name, array in progress.best.items()}
    for number, optimizer in enumerate(learning.optimizers):
        for position, entries in optimizer.state_dict()["state"].items():
            prefix = f"optimizer.{number}.{position}."
            tensors |= {prefix + name: tensor for name, tensor in entries.items()}
    with sealed_folder(folder, STATE) as aside:
        contiguous = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
        (aside / _TENSORS).write_bytes(save(contiguous))
        row = {"history": progress.history, "best_epoch": progress.best_epoch}
        (aside / _PROGRESS).write_bytes(canonical_json(row))
        seal(aside, STATE, {"identity": identity})


def load_state(folder: Path, learning: Learning, identity: str) -> Progress | None:
    """Restore the last whole epoch; return None if there is no state of this identity.

    Raises
    ------
    ArtifactError
        The state is damaged.
    """
    if not folder.exists():
        return None
    if open_sealed(folder, STATE)["identity"] != identity:
        return None
    tensors = load_file(folder / _TENSORS)
    row = json.loads((folder / _PROGRESS).read_bytes())
    learning.model.load_state_dict(_under(tensors, "model."))
    learning.average.load_state_dict(_under(tensors, "average."))
    for number, optimizer in enumerate(learning.optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under(tensors, f"optimizer.{number}.").items():
            position, _, entry = name.partition(".")
            state.setdefault(int(position), {})[entry] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    best = {name: tensor.numpy() for name, tensor in _under(tensors, "best.").items()}
    return Progress(row["history"], row["best_epoch"], best)


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
