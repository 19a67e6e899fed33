"""Say who wins a comparison: whether a simple model does, and whether the protocols agree."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ncf.api.baselines import train_simple
from ncf.api.data import Data
from ncf.api.models import Model
from ncf.baselines.names import Baseline
from ncf.errors import CapabilityError
from ncf.evaluation.comparison import OfUsers, compare
from ncf.training.baselines import baseline_of
from ncf.training.checkpoint import Checkpoint

logger = logging.getLogger(__name__)

FIGURE = "ndcg"
"""The figure that decides, as it does in training."""


def train_baselines(data: Data, folder: Path) -> list[Model]:
    """Train every simple model at its defaults, or take those that are there.

    One that does not fit into memory is left out with a warning.

    Parameters
    ----------
    data : Data
        Prepared data.
    folder : Path
        Folder of the checkpoints, each in one of the name of its model.
    """
    found = []
    for baseline in Baseline:
        out = folder / baseline.value
        try:
            train_simple(baseline, data, out, resume=True, refit=False)
        except CapabilityError as error:
            logger.warning("%s is left out: %s", baseline.value, error)
            continue
        found.append(Model(out))
    return found


def against_simple(
    models: Sequence[Checkpoint], figures: Sequence[OfUsers]
) -> dict[str, Any] | None:
    """Compare the best simple model with the best network; None without one of either.

    Parameters
    ----------
    models : sequence of Checkpoint
        Models in the order of the comparison.
    figures : sequence of OfUsers
        Their figures.

    Returns
    -------
    dict or None
        ``network`` and ``simple``, positions from 0 of the best of each by NDCG; the
        ``difference`` of the simple model to the network, with its ``interval`` at 95 %; and
        ``winner``: ``simple``, ``network``, or None where the interval includes 0.
    """
    simple = [at for at, each in enumerate(models) if baseline_of(each) is not None]
    networks = [at for at in range(len(models)) if at not in simple]
    if not (simple and networks):
        return None
    best, other = _best(figures, networks), _best(figures, simple)
    found = compare([figures[best], figures[other]])[1][FIGURE]
    winner = None
    if found.difference_interval is not None:
        low, high = found.difference_interval
        winner = "simple" if low > 0 else "network" if high < 0 else None
    return {
        "figure": FIGURE,
        "network": best,
        "simple": other,
        "difference": found.difference,
        "interval": found.difference_interval,
        "winner": winner,
    }


def side_by_side(figures: Mapping[str, Sequence[OfUsers]]) -> dict[str, Any]:
    """Put the protocols side by side, and say whether they agree on the best model.

    Parameters
    ----------
    figures : mapping
        Each model's figures, by protocol.

    Returns
    -------
    dict
        By protocol the ``ndcg`` of each model and the position of the ``best``, from 0; and
        ``agree``.

    Notes
    -----
    Krichene and Rendle, "On sampled metrics for item recommendation", KDD 2020: figures over
    sampled items may rank models in another order than those over all items.
    """
    found: dict[str, Any] = {
        protocol: {
            FIGURE: [float(each.sums[FIGURE].sum() / each.cases.sum()) for each in of_models],
            "best": _best(of_models, range(len(of_models))),
        }
        for protocol, of_models in figures.items()
    }
    return {**found, "agree": len({each["best"] for each in found.values()}) == 1}


def _best(figures: Sequence[OfUsers], among: Sequence[int]) -> int:
    return max(among, key=lambda at: float(figures[at].sums[FIGURE].sum()))
