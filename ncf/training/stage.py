"""Train one network: epochs, validation, early stopping, state, the checkpoint."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import cast

import torch

from ncf.data.prepared import PreparedData
from ncf.errors import ConfigError
from ncf.evaluation.protocols import sampled
from ncf.models.architecture import build
from ncf.models.networks import GMF, MLP, NeuMF
from ncf.models.scorer import group_scorer
from ncf.models.weights import Weights
from ncf.progress import Reporter, report
from ncf.training.average import Average
from ncf.training.checkpoint import Product, Trained, weights_of, write_checkpoint
from ncf.training.epoch import Learner, Samples, train_epoch
from ncf.training.manifest import Origin, Outcome
from ncf.training.optimizers import Optimizers
from ncf.training.plot import try_to_draw
from ncf.training.request import Request, architecture_of, identity_of
from ncf.training.state import Learning, Progress, load_state, save_state
from ncf.validation import Epoch, Validation

logger = logging.getLogger(__name__)

_K = 10
_CASES = 10_000  # of a given validation part; others are no larger
_MIXES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class DivergedError(Exception):
    """The loss became NaN or infinite."""


class Stage:
    """The training of one network: the honest one, which validation ends, or the refit.

    Parameters
    ----------
    request : Request
        The request: variant, recipe, options.
    data : PreparedData
        Training pairs and validation cases; of a refit, all pairs are training pairs.
    parents : dict
        Digest of each parent, by variant; empty if there is none.
    epochs : int, optional
        Makes this a refit of so many epochs, the parents' mix counted as the first: nothing is
        validated, and the weights after the last epoch are kept.
    """

    def __init__(
        self,
        request: Request,
        data: PreparedData,
        parents: dict[str, str],
        epochs: int | None = None,
    ) -> None:
        self._request = request
        self._data = data
        self._cases = data.validation.at_most(_CASES)
        self._parents = parents
        self._architecture = architecture_of(request.variant, request.recipe, data)
        self._schedule = request.recipe.schedule
        self._epochs = epochs
        self._identity = identity_of(request, data, parents, epochs)
        self._ranks = request.ranks
        negatives, size = self._schedule.negatives, self._schedule.batch_size
        device = torch.device(request.device)
        self.samples = Samples(data.train, negatives, size, device, self._ranks)
        torch.manual_seed(request.recipe.seed)
        self.model = build(self._architecture).to(device)
        users = self.samples.groups * self._ranks.size
        touched = users, users * (1 + negatives)
        alone = self._ranks.size == 1
        self._optimizers = Optimizers(self.model, self._schedule, *touched, by_row=alone)
        self._average = Average(self.model, self._schedule.averaging)
        self.learner = Learner(
            self.model,
            self._ranks.wrap(self.model),
            self._optimizers,
            self._average,
            self._schedule.l2,
            self._schedule.l2_warmup,
            request.amp,
        )
        self.mix: float | None = None
        """Weight of the GMF parent in the mix that training started from."""
        self.progress = Progress()

    def restore(self, state: Path) -> None:
        """Restore the last whole epoch if ``state`` holds one.

        Raises
        ------
        ConfigError
            The state belongs to another recipe, data or parents.
        """
        restored = load_state(state, self._learning(), self._identity)
        if restored is not None:
            self.progress = restored
            logger.info("continuing after epoch %d", restored.epoch)
        elif state.exists():
            raise ConfigError(
                "the interrupted training had another recipe, data, parents or processes",
                where=self._request.out,
                remedy=f"give the same ones, train with `resume=False`, or remove {state.parent}",
            )

    def run(self, state: Path | None, watch: Callable[[], None] = lambda: None) -> None:
        """Train to the end or until validation stops improving.

        Parameters
        ----------
        state : Path or None
            Folder for the state after each epoch, for :meth:`restore`.
        watch : callable
            Called after each epoch; an exception from it stops the training.

        Raises
        ------
        DivergedError
            The loss became NaN or infinite.
        """
        if self._parents and self.progress.epoch == 0:
            # The parents' mix counts as the first epoch, so that training cannot make it worse.
            self._judge(loss=None)
        longest = self._schedule.epochs + bool(self._parents)
        total = longest if self._epochs is None else self._epochs
        label = self._request.variant.value + ("" if self._epochs is None else " on everything")
        samples = (total - self.progress.epoch) * len(self.samples)
        with self._report(f"train {label}", samples) as bar:
            while self.progress.epoch < total and not self._out_of_patience():
                started = time.monotonic()
                epoch = self.progress.epoch - bool(self._parents)
                self._optimizers.set_rate(
                    self._schedule.learning_rate * self._schedule.decay**epoch
                )
                seed = self._request.recipe.seed
                loss = train_epoch(self.learner, self.samples, seed, epoch, bar)
                if not math.isfinite(loss):
                    raise DivergedError(loss)
                figures = self._judge(loss)
                if state is not None and self._ranks.leads:
                    save_state(state, self.progress, self._learning(), self._identity)
                note = f"loss {loss:.4f}{figures}"
                bar.advance(0, note)
                seconds = time.monotonic() - started
                logger.info("%s epoch %d: %s  %.1f s", label, self.progress.epoch, note, seconds)
                watch()

    def start_from(self, gmf: GMF, mlp: MLP, mix: float | None = None) -> None:
        """Take two trained parents' weights, in the given mix or the best one on validation."""
        neumf, average = cast("NeuMF", self.model), cast("NeuMF", self._average.network)
        self.mix = self._best_mix(average, gmf, mlp) if mix is None else mix
        average.start_from(gmf, mlp, self.mix)
        neumf.start_from(gmf, mlp, self.mix)

    def weights(self) -> Weights:
        """Copy the weights after the newest epoch, averaged as the recipe says."""
        return weights_of(self._average.network)

    def publish(
        self,
        out: Path,
        *,
        finished: bool,
        origins: Mapping[str, Origin] | None = None,
        product: Product | None = None,
    ) -> dict[str, object]:
        """Write the best epoch so far as a checkpoint, and return its figures and digest.

        Only the leader of several processes writes, and knows the digest.
        """
        best, request = self.progress.best_row, self._request
        validation = Validation(
            best.hr, best.ndcg, "sampled", _K, self.progress.best_epoch, "honest"
        )
        if not self._ranks.leads:
            return asdict(validation)
        variant, history = request.variant.value, self.progress.history
        facts = (validation, self._parents, self.mix, finished, origins or None)
        outcome = Outcome(variant, request.recipe.model_dump(), *facts)
        picture = try_to_draw(history, variant, self.progress.best_epoch, _K)
        weights = self.progress.best
        trained = Trained(self._architecture, weights, history, outcome, picture, product)
        return {**asdict(validation), "digest": write_checkpoint(out, trained, self._data)}

    def _learning(self) -> Learning:
        return Learning(self.model, self._average.network, self._optimizers.each)

    def _judge(self, loss: float | None) -> str:
        """Validate an epoch, or count it in a refit; return the figures for people."""
        if self._epochs is not None:
            self.progress.unjudged += 1
            return ""
        row = Epoch(self.progress.epoch + 1, loss, *self._measure())
        self.progress.record(row, self._average.network)
        return f"  HR@{_K} {row.hr:.4f}  NDCG@{_K} {row.ndcg:.4f} (sampled)"

    def _best_mix(self, average: NeuMF, gmf: GMF, mlp: MLP) -> float:
        found: dict[float, float] = {}
        for mix in _MIXES:
            average.start_from(gmf, mlp, mix)
            _, found[mix] = self._measure()
        return max(found, key=found.__getitem__)

    def _measure(self) -> tuple[float, float]:
        """Measure the average's HR and NDCG on validation, on the leader, so that all agree."""
        found = torch.zeros(2, dtype=torch.float64, device=self.samples.device)
        if self._ranks.leads:
            metrics = sampled(group_scorer(self._average.network), self._cases, _K)
            found[0], found[1] = metrics.hr, metrics.ndcg
        hr, ndcg = self._ranks.share(found).tolist()
        return hr, ndcg

    @contextmanager
    def _report(self, task: str, total: int) -> Iterator[Reporter]:
        if self._ranks.leads:
            with report(task, total) as bar:
                yield bar
        else:
            yield Reporter(task, total, None)

    def _out_of_patience(self) -> bool:
        judged = self._epochs is None
        return judged and self.progress.epoch - self.progress.best_epoch >= self._schedule.patience
