"""Define the options of ``ncf export`` that no other command has."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ncf.policies import ColdUser


class Target(StrEnum):
    """Things that ``ncf export`` can write."""

    TORCHSERVE = "torchserve"
    TRITON = "triton"


AnswerLength = Annotated[
    int | None, typer.Option("-k", help="Length of Triton's answers; by default 100, or all.")
]
ExportName = Annotated[str, typer.Option(help="Name of the model.")]
ExportTarget = Annotated[
    Target, typer.Option(help="A bundle and its .mar, or a Triton model repository.")
]
FoldIn = Annotated[
    bool, typer.Option("--foldin/--no-foldin", help="Add lists for strangers by their histories.")
]
ForStrangers = Annotated[
    ColdUser, typer.Option(help="What strangers without a list of their own get from a server.")
]
FromCheckpoint = Annotated[Path | None, typer.Option(help="Folder that 'ncf train' made.")]
FromData = Annotated[Path | None, typer.Option(help="Folder that 'ncf data prepare' made.")]
MinHistory = Annotated[
    int | None, typer.Option(help="Shortest history of a stranger; by default measured.")
]
NewItemsFile = Annotated[
    Path | None, typer.Option(help="CSV or Parquet of interactions of items it lacks.")
]
NewTitles = Annotated[
    Path | None, typer.Option(help="CSV or Parquet with item_id,title of the new items.")
]
OldBundle = Annotated[
    Path | None, typer.Option(help="Bundle to add new items to, instead of a checkpoint.")
]
Screen = Annotated[
    bool, typer.Option("--screen/--no-screen", help="Add a screened top-K graph if it is faster.")
]
Store = Annotated[Path, typer.Option(help="Folder of exported models.")]
Version = Annotated[str, typer.Option(help="Version of the model, for TorchServe.")]
