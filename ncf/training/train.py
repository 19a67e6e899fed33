"""Train a variant: its parents where it has any, early stopping, resuming, the checkpoint."""

import copy
import logging
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer

from ncf.artifacts import CHECKPOINT, canonical_json, read_manifest, require_replaceable
from ncf.data.prepared import PreparedData
from ncf.errors import ArtifactError, ConfigError, InterruptedTrainingError, UsageError
from ncf.evaluation.protocols import sampled
from ncf.files import sha256_bytes
from ncf.locks import writer_lock
from ncf.models.architecture import Architecture, build
from ncf.models.kinds import Variant
from ncf.models.scorer import scorer
from ncf.progress import report
from ncf.training.checkpoint import Checkpoint, Trained, open_checkpoint, write_checkpoint
from ncf.training.epoch import Samples, train_epoch
from ncf.training.recipe import Recipe, Schedule
from ncf.training.state import Learning, Progress, load_state, save_state

if TYPE_CHECKING:
    from ncf.models.networks import GMF, MLP, NeuMF

logger = logging.getLogger(__name__)

_K = 10
_GO_ON = "go on with --resume"


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


def train(request: Request, data: PreparedData) -> dict[str, Any]:
    """Train, and leave a checkpoint of the best epoch by validation.

    Parameters
    ----------
    request : Request
        What and how.
    data : PreparedData
        Training pairs and validation cases.

    Returns
    -------
    dict
        ``best_epoch``, validation ``hr`` and ``ndcg``, and the checkpoint's ``digest``.

    Raises
    ------
    InterruptedTrainingError
        On Ctrl-C or SIGTERM, after the best epoch so far was written as a checkpoint.
    UsageError
        There is nothing to learn from, or nothing to validate on.
    """
    if not len(data.validation.positives):
        raise UsageError(
            "no validation case: no user has three interactions", remedy="prepare more of them"
        )
    require_replaceable(request.out, CHECKPOINT)
    if request.out.resolve() in {
        path.resolve() for path in (request.parents.gmf, request.parents.mlp) if path
    }:
        raise UsageError("--out is one of the parents, which it would replace", where=request.out)
    work = request.out.with_name(f".{request.out.name}.work")
    with writer_lock(request.out):
        if not request.resume:
            shutil.rmtree(work, ignore_errors=True)
        elif not work.exists():
            if done := _finished(request, data):
                logger.info("%s: already trained, nothing to resume", request.out)
                return done
            if request.out.exists():
                logger.info("%s: is another or damaged, training from the start", request.out)
        try:
            summary = _train_in(work, request, data)
        except KeyboardInterrupt:
            raise InterruptedTrainingError(
                "interrupted between two trainings", where=request.out, remedy=_GO_ON
            ) from None
        shutil.rmtree(work, ignore_errors=True)
    return summary


def _train_in(work: Path, request: Request, data: PreparedData) -> dict[str, Any]:
    parents: dict[str, Checkpoint] = {}
    if request.variant is Variant.NEUMF_PRE:
        for variant, given in (
            (Variant.GMF, request.parents.gmf),
            (Variant.MLP, request.parents.mlp),
        ):
            path = given or _train_parent(variant, work / variant.value, request, data)
            parents[variant.value] = _open_parent(path, variant, request.recipe, data)
    stage = _Stage(request, data, {name: parent.digest for name, parent in parents.items()})
    if parents:
        neumf = cast("NeuMF", stage.model)
        gmf, mlp = (parents[name].model() for name in ("gmf", "mlp"))
        neumf.start_from(cast("GMF", gmf), cast("MLP", mlp))
    state = work / "state"
    if request.resume:
        stage.restore(state)
    try:
        stage.run(state)
    except KeyboardInterrupt:
        problem = f"interrupted{_left_behind(stage, request.out)}"
        raise InterruptedTrainingError(problem, where=request.out, remedy=_GO_ON) from None
    except _DivergedError as error:
        problem = f"the loss became {error.args[0]}{_left_behind(stage, request.out)}"
        raise ConfigError(problem, where=request.out, remedy="lower learning_rate") from None
    return stage.publish(request.out, finished=True)


def _left_behind(stage: "_Stage", out: Path) -> str:
    """Publish the best epoch so far, if there is one, and say so."""
    if not stage.progress.epoch:
        return " before the first epoch ended"
    stage.publish(out, finished=False)
    best, epochs = stage.progress.best_epoch, stage.progress.epoch
    return f"; holds the best epoch ({best}) of {epochs}"


def _train_parent(variant: Variant, out: Path, request: Request, data: PreparedData) -> Path:
    recipe = request.recipe.model_copy(update={"schedule": request.recipe.parents})
    logger.info("training the %s parent", variant.value)
    try:
        train(Request(variant, recipe, out, request.resume, request.device), data)
    except InterruptedTrainingError:
        problem = f"interrupted while its {variant.value} parent was training"
        raise InterruptedTrainingError(problem, where=request.out, remedy=_GO_ON) from None
    return out


def _open_parent(path: Path, variant: Variant, recipe: Recipe, data: PreparedData) -> Checkpoint:
    parent = open_checkpoint(path)
    parent.require_data(data)
    expected = _architecture(variant, recipe, data)
    found = parent.architecture
    # A GMF has no tower, so that its layers and dropout do not matter.
    same = (found.kind, found.factors) == (expected.kind, expected.factors)
    if not same or (variant is Variant.MLP and found.layers != expected.layers):
        raise ConfigError(
            f"parent is a {found.kind.value} of {found.factors} factors and {found.layers} layers",
            where=path,
            remedy=f"give a {expected.kind.value} of {expected.factors} and {expected.layers}",
        )
    return parent


def _architecture(variant: Variant, recipe: Recipe, data: PreparedData) -> Architecture:
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


def _finished(request: Request, data: PreparedData) -> dict[str, Any] | None:
    """Figures of the checkpoint, where it is whole and just what was asked for."""
    try:
        manifest = open_checkpoint(request.out).manifest
    except ArtifactError:
        return None
    given = {"gmf": request.parents.gmf, "mlp": request.parents.mlp}
    same_parents = all(
        read_manifest(path, CHECKPOINT)["digest"] == manifest["parents"].get(name)
        for name, path in given.items()
        if path
    )
    same = (manifest["variant"], manifest["recipe"], manifest["data"]["digest"]) == (
        request.variant.value,
        request.recipe.model_dump(),
        data.digest,
    )
    if not (manifest["finished"] and same and same_parents):
        return None
    return {**manifest["validation"], "digest": manifest["digest"]}


class _DivergedError(Exception):
    """The loss is not a number any more."""


class _Stage:
    """One network in training."""

    def __init__(self, request: Request, data: PreparedData, parents: dict[str, str]) -> None:
        self._request = request
        self._data = data
        self._parents = parents
        self._architecture = _architecture(request.variant, request.recipe, data)
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
                    raise _DivergedError(loss)
                self._take_into_average()
                row = self._validate(loss)
                save_state(state, self.progress, self._learning(), self._identity)
                note = f"loss {loss:.4f}  HR {row['hr']:.4f}  NDCG {row['ndcg']:.4f}"
                bar.advance(0, note)
                seconds = time.monotonic() - started
                logger.info("%s epoch %d: %s  %.1f s", label, self.progress.epoch, note, seconds)

    def publish(self, out: Path, *, finished: bool) -> dict[str, Any]:
        best = self.progress.best_row
        validation = {name: best[name] for name in ("hr", "ndcg")}
        validation["best_epoch"] = self.progress.best_epoch
        document = {
            "variant": self._request.variant.value,
            "recipe": self._request.recipe.model_dump(),
            "validation": validation,
            "parents": self._parents,
            "finished": finished,
        }
        history = self.progress.history
        weights = self.progress.best
        trained = Trained(self._architecture, weights, history, document)
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


def _optimizer(model: nn.Module, schedule: Schedule) -> Optimizer:
    parameters, rate = model.parameters(), schedule.learning_rate
    if schedule.optimizer == "sgd":
        return SGD(parameters, lr=rate, weight_decay=schedule.l2, fused=True)
    return Adam(parameters, lr=rate, weight_decay=schedule.l2, fused=True)
