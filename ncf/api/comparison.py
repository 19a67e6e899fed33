"""Compare trained models on the test part."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from ncf.api.data import Data, as_data
from ncf.api.devices import torch_device
from ncf.api.evaluation import check_users, protocol_of
from ncf.api.models import Model, as_model
from ncf.api.options import Place, chosen, folder
from ncf.api.verdicts import against_simple, side_by_side, train_baselines
from ncf.data.prepared import PreparedData
from ncf.devices import Device, usable_cores
from ncf.errors import UsageError
from ncf.evaluation import lists
from ncf.evaluation.cold import trained_cases
from ncf.evaluation.comparison import CONFIDENCE, RESAMPLES, Compared, OfUsers
from ncf.evaluation.comparison import compare as compare_users
from ncf.evaluation.full_ranking import Panel
from ncf.evaluation.metrics import check_length, gains, hits
from ncf.evaluation.names import Protocol
from ncf.evaluation.overlap import Overlap
from ncf.evaluation.protocols import sampled_ranks
from ncf.training.checkpoint import Checkpoint
from ncf.training.history import load_history
from ncf.training.rankers import lists_of, scorer_of

if TYPE_CHECKING:
    import pandas as pd

COMPARED = ("hr", "ndcg")


class Comparison:
    """A comparison of models: figures with intervals, differences to the first, overlap of lists.

    Parameters
    ----------
    document : mapping
        Protocol, K and counts; the figures of each of the ``models``; their ``overlap``.

    Examples
    --------
    >>> comparison = ncf.compare([model, model], data, k=5)
    >>> comparison.frame().hr_difference.tolist()
    [nan, 0.0]
    >>> comparison.overlap()
         0    1
    0  1.0  1.0
    1  1.0  1.0
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = dict(document)

    def __repr__(self) -> str:
        found = self.document
        title = f"{cases_of(found)}, {found['protocol']}"
        columns = ["checkpoint", "variant", *(f"{name}{end}" for name in COMPARED for end in _ENDS)]
        return f"{title}, K = {found['k']}\n{self.frame()[columns].to_string()}"

    def frame(self) -> "pd.DataFrame":
        """Make a frame with a row for each model: ``hr``, its 95 % interval and difference, ..."""
        import pandas as pd  # loaded only for a frame

        rows = []
        for model in self.document["models"]:
            row = {name: value for name, value in model.items() if name not in COMPARED}
            for name in COMPARED:
                figure = model[name]
                low, high = figure["interval"] or (None, None)
                row |= dict(
                    zip(
                        (f"{name}{end}" for end in _ENDS),
                        (figure["mean"], low, high, figure["difference"]),
                        strict=True,
                    )
                )
            rows.append(row)
        return pd.DataFrame(rows)

    def overlap(self) -> "pd.DataFrame":
        """Make a frame with the mean share of common items, models by models."""
        import pandas as pd  # loaded only for a frame

        return pd.DataFrame(self.document["overlap"]["common"])


def cases_of(document: Mapping[str, Any]) -> str:
    """Say how many cases of how many users were measured, and of how many if not of all.

    Examples
    --------
    >>> cases_of({"cases": 9, "users": 5, "users_to_measure": 1200})
    '9 cases of 5 users (of 1,200)'
    """
    some = f" (of {document['users_to_measure']:,})" if "users_to_measure" in document else ""
    return f"{document['cases']:,} cases of {document['users']:,} users{some}"


_ENDS = ("", "_low", "_high", "_difference")


def compare(
    models: Sequence[Model | Place],
    data: Data | Place,
    *,
    k: int = 10,
    protocol: str | None = None,
    device: str = "auto",
    baselines: bool | Place = False,
    max_users: int | None = None,
) -> Comparison:
    """Compare models on the test part: HR and NDCG at K, differences, overlap of lists.

    Intervals are 95 %, by paired bootstrap over users; differences are to the first model. The
    overlap compares top-K lists of all items except those of training and validation.

    Parameters
    ----------
    models : sequence of Model, str or Path
        Models from :func:`ncf.train`, or their folders; the first is the reference.
    data : Data, str or Path
        Data that they were trained on.
    k : int
        Length of the list.
    protocol : {"sampled", "full"}, optional
        Rank against sampled items, or the whole catalogue; as for :func:`evaluate` if not given.
    device : {"auto", "cpu", "cuda"}
        Device that computes.
    baselines : bool, str or Path
        Also train the simple models at their defaults (see ``docs/baselines.md``), and compare
        with them; in the folder that is given, or in ``baselines`` beside the first model. Those
        that are there for the same data are taken as they are.
    max_users : int, optional
        As for :func:`evaluate`.

    Raises
    ------
    UsageError
        ``k`` is less than 1, or no case can be ranked.
    ArtifactError
        A model was trained on other data.

    Examples
    --------
    >>> ncf.compare([model], data, k=5, protocol="full")  # doctest: +ELLIPSIS
    40 cases of 40 users, full, K = 5
             checkpoint variant ...
    """
    check_length(k)
    where = chosen(Device, device, "device")
    if isinstance(models, Model | Place) or not models:
        raise UsageError("`models` is not a list of models", remedy="give one model or several")
    opened = [as_model(each, "models").checkpoint for each in models]
    data = as_data(data)
    given = data.prepared
    for each in opened:
        each.require_data(given)
        each.require_honest()
    wanted, everyone = protocol_of(protocol, given), Panel.of(given)
    check_users(max_users, wanted)
    panel = everyone.at_most(max_users or everyone.users.size)
    if baselines is not False:
        place = opened[0].path.parent / "baselines" if baselines is True else baselines
        added = train_baselines(data, folder(place, "baselines"))
        opened += [each.checkpoint for each in added]
    of_full, overlap = _full(opened, panel, k, where)
    found: dict[str, Sequence[OfUsers]] = {Protocol.FULL.value: of_full}
    if given.has_negatives:
        of_sampled = [_sampled(each, given, k, where) for each in opened]
        found = {Protocol.SAMPLED.value: of_sampled, **found}
    figures = found[wanted.value]
    compared = compare_users(figures)
    return Comparison(
        {
            "protocol": wanted.value,
            "weights": "honest",
            "k": k,
            "data": given.digest,
            **_counts(figures[0], None if panel is everyone else everyone),
            "confidence": CONFIDENCE,
            "resamples": RESAMPLES,
            "models": [_described(*each) for each in zip(opened, compared, strict=True)],
            "protocols": side_by_side(found),
            "simple": against_simple(opened, figures),
            "overlap": {"users": panel.users.size, **overlap},
        }
    )


def _counts(figures: OfUsers, everyone: Panel | None) -> dict[str, int]:
    """Count who was measured, and of how many if not of all."""
    found = {"users": figures.cases.size, "cases": int(figures.cases.sum())}
    return found if everyone is None else {**found, "users_to_measure": everyone.users.size}


def _full(
    models: Sequence[Checkpoint], panel: Panel, k: int, device: Device
) -> tuple[list[OfUsers], dict[str, Any]]:
    """Compute figures by the full protocol, and the overlap, in one pass over the users."""
    n_users, n_items = panel.users.size, panel.seen.shape[1]
    overlap = Overlap(len(models))
    sums = [{name: np.zeros(n_users) for name in COMPARED} for _ in models]
    with ThreadPoolExecutor(usable_cores()) as pool:
        ranks = tuple(lists_of(model, panel.seen, device, pool) for model in models)
        for block in lists.stream(ranks, panel.users, min(k, n_items)):
            relevant = sparse.csr_array(panel.relevant[block.part])
            overlap.add(block.lists)
            for of_model, listed in zip(sums, block.lists, strict=True):
                hit = lists.hits(listed, relevant)
                found = lists.worth(hit, panel.wanted(block.part), k)
                for name, values in of_model.items():
                    values[block.part] = found[name]
    ones = np.ones(n_users, np.int64)
    matrices = {"common": overlap.common(), "average": overlap.average()}
    return [OfUsers(of_model, ones) for of_model in sums], matrices


def _sampled(model: Checkpoint, data: PreparedData, k: int, device: Device) -> OfUsers:
    found = sampled_ranks(scorer_of(model, torch_device(device)), trained_cases(data))
    values = {"hr": hits(found.ranks, k), "ndcg": gains(found.ranks, k)}
    return OfUsers.of_cases(values, found.users)


def _described(model: Checkpoint, compared: Mapping[str, Compared]) -> dict[str, Any]:
    return {
        "checkpoint": str(model.path),
        "digest": model.digest,
        "variant": model.manifest.variant,
        "factors": model.architecture.factors,
        "gmf_factors": model.architecture.gmf_width,
        "layers": model.architecture.layers,
        "parameters": sum(array.size for array in model.weights.values()),
        "epochs": len(load_history(model.path)),
        "best_epoch": model.manifest.validation.best_epoch,
        **{name: asdict(figure) for name, figure in compared.items()},
    }
