"""``ncf evaluate`` measures a trained model on the test part."""

import sys
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import typer

import ncf
from ncf.cli.options import AsCsv, AsJson, CheckpointFolder, Data, MostUsers, OfProtocol, Where
from ncf.cli.output import print_json, require_one_form, show, show_table
from ncf.devices import Device


def evaluate(
    checkpoint: CheckpointFolder,
    data: Data,
    protocol: OfProtocol = None,
    k: Annotated[
        list[int] | None,
        typer.Option("-k", help="Length of the list; may be repeated. [default: 10]"),
    ] = None,
    device: Where = Device.AUTO,
    max_users: MostUsers = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Measure a model at K on the test part, with standard errors.

    The sampled protocol gives HR, NDCG and MRR among a few sampled negatives. The full protocol
    ranks all items except those of training and validation, and also gives recall, precision,
    coverage and novelty. Figures of the two are not comparable.

    Example: ncf evaluate --checkpoint checkpoints/gmf --data data/ml-100k -k 5 -k 10
    """
    require_one_form(as_json=as_json, as_csv=as_csv)
    measure = partial(ncf.evaluate, checkpoint, data, protocol=protocol, device=device)
    found = measure(k=k or 10, max_users=max_users)
    if as_json:
        print_json(found.document)
    elif as_csv:
        found.frame().to_csv(sys.stdout, index=False)
    else:
        show(found.readable(), as_json=False)
        _print_segments(found.document)


def _print_segments(document: Mapping[str, Any]) -> None:
    """Print figures by length of the users' histories, for the largest K."""
    from ncf.api.titles import TITLES, at_k

    rows = [row for row in document["segments"] if row["k"] == document["metrics"][-1]["k"]]
    if len(rows) > 1:
        names = [name for name in ("hr", "ndcg", "recall") if name in rows[0]]
        titles = [at_k(TITLES[name], rows[0]["k"], document["protocol"]) for name in names]
        cells = (
            (row["history"], row["users"], *(f"{row[n]:.4f} ± {row[f'{n}_se']:.4f}" for n in names))
            for row in rows
        )
        show_table(("training items", "users", *titles), cells)
