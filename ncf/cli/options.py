"""Define the options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ncf.devices import Device
from ncf.evaluation.names import Protocol

AsJson = Annotated[bool, typer.Option("--json", help="Print figures as JSON.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print rows as CSV.")]
BundleFolder = Annotated[Path, typer.Option(help="Folder that 'ncf export' made.")]
Cache = Annotated[Path, typer.Option(help="Folder of fetched data sets.")]
CheckpointFolder = Annotated[Path, typer.Option(help="Folder that 'ncf train' made.")]
Config = Annotated[Path | None, typer.Option(help="Changes to the recipe, in TOML.")]
Data = Annotated[Path, typer.Option(help="Folder that 'ncf data prepare' made.")]
FilterFile = Annotated[Path | None, typer.Option(help="File that the run was given, if any.")]
Gmf = Annotated[Path | None, typer.Option(help="GMF parent of neumf-pre.")]
Length = Annotated[int, typer.Option("-k", help="Largest number of items for each user.")]
GrpcManagementPort = Annotated[int, typer.Option(help="Port of management by gRPC.")]
GrpcPort = Annotated[int, typer.Option(help="Port of predictions by gRPC.")]
LogFormat = Annotated[
    Literal["text", "json"],
    typer.Option(help="Format of log lines on standard error: text, or JSON objects."),
]
ManagementPort = Annotated[int, typer.Option(help="Port of the management API.")]
MetricsPort = Annotated[int, typer.Option(help="Of metrics.")]
Mlp = Annotated[Path | None, typer.Option(help="MLP parent of neumf-pre.")]
ModelApi = Annotated[
    bool, typer.Option("--model-api", help="Let the management API register models.")
]
ModelName = Annotated[str, typer.Option(help="Name of the model; its archive is NAME.mar.")]
ModelStore = Annotated[Path, typer.Option(help="Folder of exported models.")]
OfProtocol = Annotated[
    Protocol | None,
    typer.Option(
        help="Rank against sampled items, or the whole catalogue. [default: sampled; full for a "
        "given split]"
    ),
]
Port = Annotated[int, typer.Option(help="Port of predictions.")]
Runs = Annotated[str, typer.Option(help="Folder of all runs, or a URI such as s3://bucket/topk.")]
State = Annotated[Path, typer.Option(help="Folder of tokens, logs and temporary files.")]
TokenMinutes = Annotated[int, typer.Option(min=1, help="Minutes until tokens expire.")]
Where = Annotated[Device, typer.Option(help="Device that computes.")]
