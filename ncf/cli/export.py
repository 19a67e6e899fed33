"""``ncf export`` writes a trained model as a bundle and an archive, or for Triton."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import ncf
from ncf.cli.options import AsJson, CheckpointFolder, Data
from ncf.cli.output import show
from ncf.policies import ColdUser


class Target(StrEnum):
    """Things that ``ncf export`` can write."""

    TORCHSERVE = "torchserve"
    TRITON = "triton"


def export(
    checkpoint: CheckpointFolder,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of exported models.")] = Path("model_store"),
    name: Annotated[str, typer.Option(help="Name of the model.")] = "ncf",
    target: Annotated[
        Target, typer.Option(help="A bundle and its .mar, or a Triton model repository.")
    ] = Target.TORCHSERVE,
    version: Annotated[str, typer.Option(help="Version of the model, for TorchServe.")] = "1.0",
    cold_user: Annotated[
        ColdUser, typer.Option(help="What strangers get from TorchServe.")
    ] = ColdUser.POPULAR,
    k: Annotated[
        int | None, typer.Option("-k", help="Length of Triton's answers; by default 100, or all.")
    ] = None,
    screen: Annotated[
        bool,
        typer.Option("--screen/--no-screen", help="Add a screened top-K graph if it is faster."),
    ] = True,
    fold_in: Annotated[
        bool,
        typer.Option("--foldin/--no-foldin", help="Add lists for strangers by their histories."),
    ] = True,
    min_history: Annotated[
        int | None, typer.Option(help="Shortest history of a stranger; by default measured.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Export a bundle and a .mar: ONNX graphs that equal the checkpoint, ids and digests.

    Example: ncf export --checkpoint checkpoints/neumf-pre --data data/ml-100k --out model_store
    """
    if target is Target.TRITON:
        found = ncf.export_triton(checkpoint, data, out=out, name=name, k=k)
    else:
        found = ncf.export(
            checkpoint,
            data,
            out=out,
            name=name,
            version=version,
            cold_user=cold_user,
            screen=screen,
            fold_in=fold_in,
            min_history=min_history,
        ).exported
    show(found, as_json=as_json)
