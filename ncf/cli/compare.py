"""``ncf compare``: trained models side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ncf.cli.evaluate import TITLES, Protocol, at_k
from ncf.cli.model import Data, torch_device
from ncf.cli.output import AsJson, Length, print_json, say
from ncf.devices import Device, usable_cores

if TYPE_CHECKING:
    from ncf.data.prepared import PreparedData
    from ncf.evaluation.comparison import Compared, OfUsers
    from ncf.evaluation.full_ranking import Panel
    from ncf.training.checkpoint import Checkpoint

_COMPARED = ("hr", "ndcg")


def compare(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(help="Folders that 'ncf train' made; the first is the reference."),
    ],
    data: Data,
    k: Length = 10,
    protocol: Annotated[
        Protocol, typer.Option(help="Rank against sampled items, or the whole catalogue.")
    ] = Protocol.SAMPLED,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.AUTO,
    as_json: AsJson = False,
) -> None:
    """Models side by side: HR and NDCG at K on the test part, differences, overlap of lists.

    Intervals are of 95 %, by paired bootstrap over users; differences are to the first model.
    The overlap is that of the top K of all but the training and validation items.

    Example: ncf compare checkpoints/gmf checkpoints/mlp --data data/ml-100k -k 10
    """
    from ncf.data.prepared import open_data
    from ncf.evaluation.comparison import CONFIDENCE, RESAMPLES
    from ncf.evaluation.comparison import compare as compare_users
    from ncf.evaluation.full_ranking import Panel
    from ncf.evaluation.metrics import check_length
    from ncf.training.checkpoint import open_checkpoint

    check_length(k)
    models = [open_checkpoint(path) for path in checkpoints]
    prepared = open_data(data)
    for model in models:
        model.require_data(prepared)
    panel = Panel.of(prepared)
    figures, overlap = _lists(models, panel, k, device)
    if protocol is Protocol.SAMPLED:
        figures = [_sampled(model, prepared, k, device) for model in models]
    compared = compare_users(figures)
    document = {
        "protocol": protocol.value,
        "k": k,
        "data": prepared.digest,
        "users": figures[0].cases.size,
        "cases": int(figures[0].cases.sum()),
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        "models": [_described(*each) for each in zip(models, compared, strict=True)],
        "overlap": {"users": panel.users.size, **overlap},
    }
    if as_json:
        print_json(document)
    else:
        _print(document)


def _lists(
    models: Sequence["Checkpoint"], panel: "Panel", k: int, device: Device
) -> tuple[list["OfUsers"], dict[str, Any]]:
    """Each model's figures by the full protocol, and the overlap, in one pass over the users."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    from scipy import sparse

    from ncf.evaluation.comparison import OfUsers
    from ncf.evaluation.exact_lists import exact_lists
    from ncf.evaluation.lists import hits, stream, worth
    from ncf.evaluation.overlap import Overlap

    n_users, n_items = panel.users.size, panel.seen.shape[1]
    overlap = Overlap(len(models))
    sums = [{name: np.zeros(n_users) for name in _COMPARED} for _ in models]
    with ThreadPoolExecutor(usable_cores()) as pool:
        ranks = tuple(
            exact_lists(model.weights, panel.seen, device, pool, model.path) for model in models
        )
        for block in stream(ranks, panel.users, min(k, n_items)):
            relevant = sparse.csr_array(panel.relevant[block.part])
            overlap.add(block.lists)
            for of_model, lists in zip(sums, block.lists, strict=True):
                found = worth(hits(lists, relevant), panel.wanted(block.part), k)
                for name, values in of_model.items():
                    values[block.part] = found[name]
    ones = np.ones(n_users, np.int64)
    matrices = {"common": overlap.common(), "average": overlap.average()}
    return [OfUsers(of_model, ones) for of_model in sums], matrices


def _sampled(model: "Checkpoint", data: "PreparedData", k: int, device: Device) -> "OfUsers":
    from ncf.evaluation.comparison import OfUsers
    from ncf.evaluation.metrics import gains, hits
    from ncf.evaluation.protocols import sampled_ranks
    from ncf.models.scorer import group_scorer

    found = sampled_ranks(group_scorer(model.model().to(torch_device(device))), data.test)
    values = {"hr": hits(found.ranks, k), "ndcg": gains(found.ranks, k)}
    return OfUsers.of_cases(values, found.users)


def _described(model: "Checkpoint", compared: Mapping[str, "Compared"]) -> dict[str, Any]:
    from ncf.training.checkpoint import load_history

    return {
        "checkpoint": str(model.path),
        "digest": model.digest,
        "variant": model.manifest["variant"],
        "factors": model.architecture.factors,
        "gmf_factors": model.architecture.gmf_width,
        "layers": model.architecture.layers,
        "parameters": sum(array.size for array in model.weights.values()),
        "epochs": len(load_history(model.path)),
        "best_epoch": model.manifest["validation"].get("best_epoch"),
        **{name: asdict(figure) for name, figure in compared.items()},
    }


def _print(document: Mapping[str, Any]) -> None:
    console, models = Console(), document["models"]
    table = Table("#", "checkpoint", "variant", "factors", "parameters", "epochs", "best")
    for number, model in enumerate(models, 1):
        facts = (model[name] for name in ("parameters", "epochs"))
        wide, factors = model["gmf_factors"], model["factors"]
        both = model["variant"].startswith("neumf") and wide != factors
        factors = f"{wide} + {factors}" if both else f"{factors}"
        names = (Text(model["checkpoint"], overflow="fold"), Text(model["variant"]))
        best = "" if model["best_epoch"] is None else str(model["best_epoch"])
        table.add_row(str(number), *names, factors, *(f"{fact:,}" for fact in facts), best)
    console.print(table)
    users, cases = document["users"], document["cases"]
    say(f"{cases:,} cases of {users:,} users; intervals of 95 %, paired bootstrap over users")
    for name in _COMPARED:
        title = at_k(TITLES[name], document["k"], document["protocol"])
        table = Table("#", title, "interval", "minus #1", "its interval")
        for number, figure in enumerate((model[name] for model in models), 1):
            difference = "" if figure["difference"] is None else f"{figure['difference']:+.4f}"
            table.add_row(
                str(number),
                f"{figure['mean']:.4f}",
                _interval(figure["interval"], ".4f"),
                difference,
                _interval(figure["difference_interval"], "+.4f"),
            )
        console.print(table)
    overlap = document["overlap"]
    say(
        f"top {document['k']} of {overlap['users']:,} users, of all but training and validation "
        "items:\nshare of common items (average overlap, in which the order counts too)"
    )
    table = Table("#", *(str(number) for number in range(1, len(models) + 1)))
    for number, rows in enumerate(zip(overlap["common"], overlap["average"], strict=True), 1):
        cells = (f"{common:.3f} ({average:.3f})" for common, average in zip(*rows, strict=True))
        table.add_row(str(number), *cells)
    console.print(table)


def _interval(interval: Sequence[float] | None, form: str) -> str:
    return "" if interval is None else f"{interval[0]:{form}} to {interval[1]:{form}}"
