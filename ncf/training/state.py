"""Save the state of a training after each epoch in a sealed folder, so that it can continue."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.optim import Optimizer

from ncf.artifacts import canonical_json, open_sealed, seal, sealed_folder
from ncf.errors import ArtifactError
from ncf.kinds import Kind, Manifest
from ncf.models.weights import Weights
from ncf.records import json_values, optional, read_record
from ncf.training.checkpoint import weights_of
from ncf.validation import Epoch

_TENSORS = "state.safetensors"
_PROGRESS = "progress.json"


@dataclass(frozen=True, kw_only=True)
class StateManifest(Manifest):
    """What ``state.json`` says.

    Parameters
    ----------
    identity : str
        Names the recipe, the data and the parents that the state is for.
    """

    identity: str


@dataclass(frozen=True)
class EpochsBehind:
    """What ``progress.json`` says.

    Parameters
    ----------
    history : tuple of Epoch
        In their order.
    best_epoch : int
        Epoch with the highest validation NDCG, from 1.
    unjudged : int or None
        Number of epochs of a refit, which no validation follows; None for none.
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    unjudged: int | None = optional()


STATE = Kind("training state", "state.json", 3, "train again with `resume=False`", StateManifest)


@dataclass
class Progress:
    """The progress of a training.

    Parameters
    ----------
    history : list of Epoch
        In their order.
    best_epoch : int
        Epoch with the highest validation NDCG, from 1; 0 before the first.
    best : dict
        Weights of that epoch.
    unjudged : int
        Number of epochs of a refit, which no validation follows.
    """

    history: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    best: Weights = field(default_factory=dict)
    unjudged: int = 0

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history) + self.unjudged

    @property
    def best_row(self) -> Epoch:
        """Figures of the best epoch."""
        return self.history[self.best_epoch - 1]

    def record(self, row: Epoch, model: nn.Module) -> None:
        """Add an epoch; on a higher validation NDCG (or the first) its weights become the best."""
        self.history.append(row)
        if self.best_epoch == 0 or row.ndcg > self.best_row.ndcg:
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
        behind = EpochsBehind(
            tuple(progress.history), progress.best_epoch, progress.unjudged or None
        )
        (aside / _PROGRESS).write_bytes(canonical_json(json_values(behind)))
        seal(aside, STATE, json_values(StateManifest(identity=identity)))


def load_state(folder: Path, learning: Learning, identity: str) -> Progress | None:
    """Restore the last whole epoch; return None if there is no state of this identity.

    Raises
    ------
    ArtifactError
        The state is damaged.
    """
    if not folder.exists():
        return None
    if open_sealed(folder, STATE).identity != identity:
        return None
    tensors = load_file(folder / _TENSORS)
    behind = _epochs_behind(folder / _PROGRESS)
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
    return Progress(list(behind.history), behind.best_epoch, best, behind.unjudged or 0)


def _epochs_behind(path: Path) -> EpochsBehind:
    try:
        return read_record(EpochsBehind, json.loads(path.read_bytes()))
    except ValueError as error:
        raise ArtifactError(f"not readable ({error})", where=path, remedy=STATE.remedy) from error


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
