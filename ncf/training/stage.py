"""One network in training: epochs, validation, early stopping, state, the checkpoint."""

import copy
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer

from ncf.artifacts import canonical_json
from ncf.data.prepared import PreparedData
from ncf.errors import ConfigError
from ncf.evaluation.protocols import sampled
from ncf.files import sha256_bytes
from ncf.models.architecture import Architecture, build
from ncf.models.kinds import Variant
from ncf.models.scorer import scorer
from ncf.progress import report
from ncf.training.checkpoint import Trained, write_checkpoint
from ncf.training.epoch import Samples, train_epoch
from ncf.training.plot import try_to_draw
from ncf.training.recipe import Recipe, Schedule
from ncf.training.state import Learning, Progress, load_state, save_state

logger = logging.getLogger(__name__)

_K = 10


@dataclass(frozen=True)
class Parents:
    """Trained networks that ``neumf-pre`` starts from; None is trained on the way."""

    gmf: Path | None = None
    mlp: Path | None = None


@dataclass(frozen=True)
class Request:
    """One training.

    Parameters
    ----------
    variant : Variant
        What to train.
    recipe : Recipe
        How.
    out : Path
        Checkpoint folder.
    resume : bool
        Go on from the last whole epoch of an interrupted training.
    device : str
        Where to compute, as PyTorch names it.
    parents : Parents
        For ``neumf-pre``.
    """

    variant: Variant
    recipe: Recipe
    out: Path
    resume: bool = False
    device: str = "cpu"
    parents: Parents = Parents()


class DivergedError(Exception):
    """The loss is not a number any more."""


class Stage:
    """One network in training.

    Parameters
    ----------
    request : Request
        What to train, and how.
    data : PreparedData
        Training pairs and validation cases.
    parents : dict
        Digest of each parent, by its variant; empty where there is none.
    """

    def __init__(self, request: Request, data: PreparedData, parents: dict[str, str]) -> None:
        self._request = request
        self._data = data
        self._parents = parents
        self._architecture = architecture_of(request.variant, request.recipe, data)
        self._schedule = request.recipe.schedule
        self._identity = _identity(request, data, parents)
        size = self._schedule.batch_size
        self._samples = Samples(data.train, request.recipe.negatives, size)
        torch.manual_seed(request.recipe.seed)
        self.model: nn.Module = build(self._architecture).to(request.device)
        self._optimizer = _optimizer(self.model, self._schedule)
        self._average = copy.deepcopy(self.model)
        self.progress = Progress()

    def restore(self, state: Path) -> None:
        """Go back to the last whole epoch, where ``state`` holds one.

        Raises
        ------
        ConfigError
            The state is of another recipe, data or parents.
        """
        restored = load_state(state, self._learning(), self._identity)
        if restored is not None:
            self.progress = restored
            logger.info("going on after epoch %d", restored.epoch)
        elif state.exists():
            raise ConfigError(
                "the interrupted training had another recipe, data or parents",
                where=self._request.out,
                remedy=f"give the same ones, train without --resume, or remove {state.parent}",
            )

    def run(self, state: Path) -> None:
        """Train to the end or until validation stops improving; ``state`` follows each epoch.

        Raises
        ------
        DivergedError
            The loss is not a number any more.
        """
        if self._parents and self.progress.epoch == 0:
            # The parents' mix counts as an epoch, so that training cannot make it worse.
            self._average.load_state_dict(self.model.state_dict())
            self._validate(loss=None)
        total = self._schedule.epochs + bool(self._parents)
        label = self._request.variant.value
        with report(f"train {label}", (total - self.progress.epoch) * len(self._samples)) as bar:
            while self.progress.epoch < total and not self._out_of_patience():
                started = time.monotonic()
                rng = np.random.default_rng([self._request.recipe.seed, self.progress.epoch])
                loss = train_epoch(self.model, self._optimizer, self._samples, rng, bar)
                if not math.isfinite(loss):
                    raise DivergedError(loss)
                self._take_into_average()
                row = self._validate(loss)
                save_state(state, self.progress, self._learning(), self._identity)
                figures = f"HR@{_K} {row['hr']:.4f}  NDCG@{_K} {row['ndcg']:.4f} (sampled)"
                note = f"loss {loss:.4f}  {figures}"
                bar.advance(0, note)
                seconds = time.monotonic() - started
                logger.info("%s epoch %d: %s  %.1f s", label, self.progress.epoch, note, seconds)

    def publish(self, out: Path, *, finished: bool) -> dict[str, Any]:
        """Write the best epoch so far as a checkpoint; returns its figures and digest."""
        best = self.progress.best_row
        validation = {name: best[name] for name in ("hr", "ndcg")}
        validation |= {"protocol": "sampled", "k": _K, "best_epoch": self.progress.best_epoch}
        document = {
            "variant": self._request.variant.value,
            "recipe": self._request.recipe.model_dump(),
            "validation": validation,
            "parents": self._parents,
            "finished": finished,
        }
        history = self.progress.history
        weights = self.progress.best
        variant = self._request.variant.value
        picture = try_to_draw(history, variant, self.progress.best_epoch, _K)
        trained = Trained(self._architecture, weights, history, document, picture)
        digest = write_checkpoint(out, trained, self._data)
        return {**validation, "digest": digest}

    def _learning(self) -> Learning:
        return Learning(self.model, self._average, self._optimizer)

    @torch.no_grad()
    def _take_into_average(self) -> None:
        # The first epoch's weights start the average: the initial ones are noise.
        past = self._schedule.averaging if self.progress.epoch else 0.0
        pairs = zip(self._average.parameters(), self.model.parameters(), strict=True)
        for average, parameter in pairs:
            average.lerp_(parameter, 1 - past)

    def _validate(self, loss: float | None) -> dict[str, Any]:
        metrics = sampled(scorer(self._average), self._data.validation, _K)
        row = {
            "epoch": self.progress.epoch + 1,
            "loss": loss,
            "hr": metrics.hr,
            "ndcg": metrics.ndcg,
        }
        self.progress.record(row, self._average)
        return row

    def _out_of_patience(self) -> bool:
        return self.progress.epoch - self.progress.best_epoch >= self._schedule.patience


def architecture_of(variant: Variant, recipe: Recipe, data: PreparedData) -> Architecture:
    """Tell the shape of a variant's network for a recipe and data."""
    return Architecture(
        variant.kind,
        len(data.users),
        len(data.items),
        recipe.factors,
        recipe.layers,
        recipe.dropout,
    )


def _identity(request: Request, data: PreparedData, parents: dict[str, str]) -> str:
    document = {
        "variant": request.variant.value,
        "recipe": request.recipe.model_dump(),
        "data": data.digest,
        "parents": parents,
    }
    return sha256_bytes(canonical_json(document))


def _optimizer(model: nn.Module, schedule: Schedule) -> Optimizer:
    parameters, rate = model.parameters(), schedule.learning_rate
    if schedule.optimizer == "sgd":
        return SGD(parameters, lr=rate, weight_decay=schedule.l2, fused=True)
    return Adam(parameters, lr=rate, weight_decay=schedule.l2, fused=True)
