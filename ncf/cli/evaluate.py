"""``ncf evaluate`` measures a trained model on the test part."""

import sys
from typing import Annotated

import typer

import ncf
from ncf.cli.options import AsCsv, AsJson, CheckpointFolder, Data, OfProtocol, Where
from ncf.cli.output import print_json, require_one_form, show
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
    found = ncf.evaluate(checkpoint, data, protocol=protocol, k=k or 10, device=device)
    if as_json:
        print_json(found.document)
    elif as_csv:
        found.frame().to_csv(sys.stdout, index=False)
    else:
        show(found.readable(), as_json=False)
