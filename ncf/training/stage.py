"""Train one network: epochs, validation, early stopping, state, the checkpoint."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import cast

import torch

from ncf.data.prepared import PreparedData
from ncf.errors import ConfigError
from ncf.models.architecture import build
from ncf.models.networks import GMF, MLP, NeuMF
from ncf.models.weights import Weights
from ncf.progress import Reporter, report
from ncf.training.checkpoint import weights_of, write_checkpoint
from ncf.training.epochs import epochs_of, start_warm
from ncf.training.judge import Judge, K
from ncf.training.manifest import Origin, Outcome
from ncf.training.mix import best_mix
from ncf.training.pace import Pace
from ncf.training.plot import try_to_draw
from ncf.training.request import Request, architecture_of, identity_of
from ncf.training.start import gmf_to_start, start_from
from ncf.training.state import Learning, Progress, load_state, save_state
from ncf.training.trained import Product, Trained
from ncf.training.warm_facts import warm_facts
from ncf.validation import Epoch, Validation

logger = logging.getLogger(__name__)

_SAVING = 0.1  # of the time, for states to resume from


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
        self._judge = Judge(data)
        self.protocol = self._judge.protocol
        self._parents = parents
        self._architecture = architecture_of(request.variant, request.recipe, data)
        self._schedule = request.recipe.schedule
        self._epochs = epochs
        self._identity = identity_of(request, data, parents, epochs)
        self._ranks = request.ranks
        torch.manual_seed(request.recipe.seed)
        self.model = build(self._architecture).to(torch.device(request.device))
        self.epochs = epochs_of(self.model, request, data)
        if request.warm is not None:
            start_warm(self.model, self.epochs, request.warm, everything=epochs is not None)
        self._judged = epochs is None and (request.warm is None or request.warm.is_honest)
        self._begun = bool(parents) or self._schedule.start is not None
        if not (self._schedule.epochs or self._begun):
            raise ConfigError("epochs = 0 trains nothing", remedy="give at least 1")
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
            Folder for the state, for :meth:`restore`; saved in at most a tenth of the time.
        watch : callable
            Called after each epoch; an exception from it stops the training.

        Raises
        ------
        DivergedError
            The loss became NaN or infinite.
        """
        request = self._request
        if self._begun and self.progress.epoch == 0:
            # What training starts from counts as the first epoch, so that it cannot get worse.
            self._begin()
            self._record(loss=None)
        elif request.warm is not None and self._judged and self.progress.epoch == 0:
            logger.info("start: HR@10 %.4f  NDCG@10 %.4f", *self._measure())
        longest = self._schedule.epochs + self._begun
        total = longest if self._epochs is None else self._epochs
        pace = Pace(_SAVING)
        label = request.variant.value + ("" if self._epochs is None else " on everything")
        samples = (total - self.progress.epoch) * len(self.epochs)
        with self._report(f"train {label}", samples) as bar:
            while self.progress.epoch < total and not self._out_of_patience():
                started = time.monotonic()
                epoch = self.progress.epoch - self._begun
                loss = self.epochs.train(request.recipe.seed, epoch, bar)
                if not math.isfinite(loss):
                    raise DivergedError(loss)
                request.shared.watch(request.recipe, epoch + 1, self.epochs.average.network)
                figures = self._record(loss)
                if state is not None and self._ranks.leads and pace.due():
                    with pace.timed():
                        save_state(state, self.progress, self._learning(), self._identity)
                note = f"loss {loss:.4f}{figures}"
                bar.advance(0, note)
                seconds = time.monotonic() - started
                logger.info("%s epoch %d: %s  %.1f s", label, self.progress.epoch, note, seconds)
                watch()

    def start_from(self, gmf: GMF, mlp: MLP, mix: float | None = None) -> None:
        """Take two trained parents' weights, in the given mix or the best one on validation."""

        def worth(shares: Sequence[float]) -> list[float]:
            ndcg = self._judge.measure_mixes((gmf, mlp), shares) if self._ranks.leads else shares
            found = torch.tensor(ndcg, dtype=torch.float64, device=self.epochs.device)
            return cast("list[float]", self._ranks.share(found).tolist())

        self.mix = best_mix(worth) if mix is None else mix
        for neumf in (self.model, self.epochs.average.network):
            cast("NeuMF", neumf).start_from(gmf, mlp, self.mix)

    @property
    def best_epoch(self) -> int:
        """The best epoch by validation, or the newest where there is none."""
        return self.progress.best_epoch if self._judged else self.progress.epoch

    def weights(self) -> Weights:
        """Copy the weights after the newest epoch, averaged as the recipe says."""
        return weights_of(self.epochs.average.network)

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
        request, validation = self._request, Validation(best_epoch=self.best_epoch)
        if self._judged:
            best, epoch = self.progress.best_row, self.best_epoch
            validation = Validation(best.hr, best.ndcg, self.protocol, K, epoch, "honest")
        if not self._ranks.leads:
            return asdict(validation)
        variant, history = request.variant.value, self.progress.history
        weights = self.progress.best if self._judged else self.weights()
        warm, learned = warm_facts(request.warm, weights, self._data)
        facts = (validation, self._parents, self.mix, finished, origins or None, warm)
        outcome = Outcome(variant, request.recipe.model_dump(), *facts)
        picture = try_to_draw(history, variant, validation) if history else None
        trained = Trained(self._architecture, weights, history, outcome, picture, product, learned)
        return {**asdict(validation), "digest": write_checkpoint(out, trained, self._data)}

    def _begin(self) -> None:
        """Start from a GMF if the schedule says so."""
        start, seed = self._schedule.start, self._request.recipe.seed
        if start is None:
            return
        gmf = gmf_to_start(self.model, start, self._data.train, seed, self._ranks)
        found = cast("GMF", gmf.average.network)
        if not self._request.shared.fill(self._request.recipe, found):
            with self._report("train a gmf to start from", start.epochs * len(gmf)) as bar:
                for epoch in range(start.epochs):
                    loss = gmf.train(seed, epoch, bar)
            if not math.isfinite(loss):
                raise DivergedError(loss)
        start_from(cast("MLP | NeuMF", self.model), found, start.scale)
        self.epochs.average.network.load_state_dict(self.model.state_dict())

    def _learning(self) -> Learning:
        return Learning(self.model, self.epochs.average.network, self.epochs.optimizers)

    def _record(self, loss: float | None) -> str:
        """Validate an epoch, or count it in a refit; return the figures for people."""
        if not self._judged:
            self.progress.unjudged += 1
            return ""
        row = Epoch(self.progress.epoch + 1, loss, *self._measure())
        self.progress.record(row, self.epochs.average.network)
        return f"  HR@{K} {row.hr:.4f}  NDCG@{K} {row.ndcg:.4f} ({self.protocol})"

    def _measure(self) -> tuple[float, float]:
        """Measure the average's HR and NDCG on validation, on the leader, so that all agree."""
        found = torch.zeros(2, dtype=torch.float64, device=self.epochs.device)
        if self._ranks.leads:
            found[0], found[1] = self._judge.measure(self.epochs.average.network)
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
        return (
            self._judged
            and self.progress.epoch - self.progress.best_epoch >= self._schedule.patience
        )
