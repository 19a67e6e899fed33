"""``ncf compare`` prints trained models side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import ncf
from ncf.cli.options import AsJson, Data, Length, OfProtocol, Where
from ncf.cli.output import print_json, say
from ncf.devices import Device
from ncf.evaluation.names import Protocol


def compare(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(help="Folders that 'ncf train' made; the first is the reference."),
    ],
    data: Data,
    k: Length = 10,
    protocol: OfProtocol = Protocol.SAMPLED,
    device: Where = Device.AUTO,
    as_json: AsJson = False,
) -> None:
    """Compare models on the test part: HR and NDCG at K, differences, overlap of lists.

    Intervals are 95 %, by paired bootstrap over users; differences are to the first model. The
    overlap compares top-K lists of all items except those of training and validation.

    Example: ncf compare checkpoints/gmf checkpoints/mlp --data data/ml-100k -k 10
    """
    found = ncf.compare(checkpoints, data, k=k, protocol=protocol, device=device)
    if as_json:
        print_json(found.document)
    else:
        _print(found.document)


def _print(document: Mapping[str, Any]) -> None:
    from ncf.api.comparison import COMPARED
    from ncf.api.evaluation import TITLES, at_k

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
    say(f"{cases:,} cases of {users:,} users; 95 % intervals by paired bootstrap over users")
    for name in COMPARED:
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
        f"top {document['k']} of {overlap['users']:,} users, of all items except those of training "
        "and validation:\nshare of common items (average overlap, which also counts the order)"
    )
    table = Table("#", *(str(number) for number in range(1, len(models) + 1)))
    for number, rows in enumerate(zip(overlap["common"], overlap["average"], strict=True), 1):
        cells = (f"{common:.3f} ({average:.3f})" for common, average in zip(*rows, strict=True))
        table.add_row(str(number), *cells)
    console.print(table)


def _interval(interval: Sequence[float] | None, form: str) -> str:
    return "" if interval is None else f"{interval[0]:{form}} to {interval[1]:{form}}"
