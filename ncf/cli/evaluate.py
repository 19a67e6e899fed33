"""``ncf evaluate``: what a trained model is worth on the test part."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ncf.cli.model import CheckpointFolder, Data, torch_device
from ncf.cli.output import AsJson, print_json, show
from ncf.devices import Device, usable_cores

if TYPE_CHECKING:
    from ncf.data.prepared import PreparedData
    from ncf.training.checkpoint import Checkpoint

TITLES = {
    "hr": "HR",
    "ndcg": "NDCG",
    "recall": "recall",
    "mrr": "MRR",
    "precision": "precision",
    "coverage": "coverage",
    "novelty": "novelty, bits",
}


class Protocol(StrEnum):
    """What a test item is ranked against."""

    SAMPLED = "sampled"
    FULL = "full"


def evaluate(
    checkpoint: CheckpointFolder,
    data: Data,
    protocol: Annotated[
        Protocol, typer.Option(help="Rank against sampled items, or the whole catalogue.")
    ] = Protocol.SAMPLED,
    k: Annotated[
        list[int] | None,
        typer.Option("-k", help="Length of the list; may be repeated. [default: 10]"),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.AUTO,
    as_json: AsJson = False,
) -> None:
    """Figures at K on the test part, with standard errors.

    Sampled: HR, NDCG and MRR among a few sampled negatives. Full: also recall, precision, coverage
    and novelty, of lists of all but the training and validation items. The two do not compare.

    Example: ncf evaluate --checkpoint checkpoints/gmf --data data/ml-100k -k 5 -k 10
    """
    from ncf.data.prepared import open_data
    from ncf.training.checkpoint import open_checkpoint

    lengths = sorted(set(k or [10]))
    trained = open_checkpoint(checkpoint)
    prepared = open_data(data)
    trained.require_data(prepared)
    if protocol is Protocol.SAMPLED:
        document = _sampled(trained, prepared, lengths, device)
    else:
        document = _full(trained, prepared, lengths, device)
    if as_json:
        print_json(document)
    else:
        show(readable(document), as_json=False)


def _sampled(
    trained: "Checkpoint", data: "PreparedData", lengths: Sequence[int], device: Device
) -> dict[str, Any]:
    from ncf.evaluation.metrics import check_length, summarise
    from ncf.evaluation.protocols import sampled_ranks
    from ncf.models.scorer import group_scorer

    check_length(*lengths)
    found = sampled_ranks(group_scorer(trained.model().to(torch_device(device))), data.test)
    rows = [asdict(summarise(found, k)) for k in lengths]
    shared = {name: rows[0][name] for name in ("protocol", "cases", "users", "unranked")}
    metrics = [{name: row[name] for name in row if name not in shared} for row in rows]
    return {**shared, "metrics": metrics}


def _full(
    trained: "Checkpoint", data: "PreparedData", lengths: Sequence[int], device: Device
) -> dict[str, Any]:
    from concurrent.futures import ThreadPoolExecutor

    from ncf.evaluation.exact_lists import exact_lists
    from ncf.evaluation.full_ranking import Panel, full
    from ncf.evaluation.metrics import check_length

    check_length(*lengths)
    panel = Panel.of(data)
    with ThreadPoolExecutor(usable_cores()) as pool:
        rank = exact_lists(trained.weights, panel.seen, device, pool, trained.path)
        return asdict(full(rank, data, panel, lengths))


def readable(document: Mapping[str, Any]) -> dict[str, Any]:
    """Make lines of an evaluation's document: ``NAME@K (protocol)`` and value ± standard error."""
    protocol, rows = document["protocol"], document["metrics"]
    lines = {name: value for name, value in document.items() if name != "metrics"}
    for row in rows:
        for name, title in TITLES.items():
            if name in row:
                error = f" ± {row[f'{name}_se']:.4f}" if f"{name}_se" in row else ""
                lines[at_k(title, row["k"], protocol)] = f"{row[name]:.4f}{error}"
        if row.get("short_lists"):
            lines[f"lists shorter than {row['k']}"] = row["short_lists"]
    return lines


def at_k(title: str, k: int, protocol: str) -> str:
    """Name a figure: ``HR@10 (sampled)``."""
    name, comma, unit = title.partition(",")
    return f"{name}@{k} ({protocol}){comma}{unit}"
