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
AccessLog = Annotated[
    bool, typer.Option("--access-log", help="Print a JSON object for each request.")
]
AdminTokenFile = Annotated[
    Path | None, typer.Option(help="File of the token for POST /reload; else NCF_ADMIN_TOKEN.")
]
Canary = Annotated[
    list[str], typer.Option(help="Bundle of the store that answers for a share of users: NAME=5%.")
]
Certificate = Annotated[Path | None, typer.Option(help="Certificate for TLS, in PEM.")]
Deadline = Annotated[float, typer.Option(min=0.1, help="Most seconds until an answer.")]
Follow = Annotated[
    float, typer.Option(min=0.0, help="Seconds between looks for a new bundle; 0 never looks.")
]
GrpcManagementPort = Annotated[int, typer.Option(help="Port of management by gRPC.")]
GrpcPort = Annotated[int, typer.Option(help="Port of predictions by gRPC.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
KeyFile = Annotated[Path | None, typer.Option(help="Private key of the certificate, in PEM.")]
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
MostUsers = Annotated[
    int | None,
    typer.Option(help="Full protocol: rank for at most so many users, taken evenly."),
]
NoToken = Annotated[bool, typer.Option("--no-token", help="Answer everybody, without a token.")]
OldFlag = Annotated[bool, typer.Option("--model-api", help="TorchServe only.")]
OldNumber = Annotated[int | None, typer.Option(help="TorchServe only.", show_default=False)]
Port = Annotated[int, typer.Option(help="Port of predictions.")]
Queue = Annotated[int, typer.Option(min=1, help="Most requests that wait in a worker.")]
Remember = Annotated[
    int, typer.Option(min=0, help="Most MiB of answers that a worker remembers; 0 for none.")
]
Sending = Annotated[
    float, typer.Option(min=0.1, help="Most seconds for a client to send a request.")
]
ServerKind = Annotated[
    Literal["asgi", "torchserve"], typer.Option(help="Our server, or TorchServe.")
]
ServerTokenFile = Annotated[
    Path | None, typer.Option(help="File of the token that requests need; else NCF_TOKEN.")
]
Runs = Annotated[str, typer.Option(help="Folder of all runs, or a URI such as s3://bucket/topk.")]
State = Annotated[Path, typer.Option(help="Folder of tokens, logs and temporary files.")]
TokenMinutes = Annotated[int, typer.Option(min=1, help="Minutes until tokens expire.")]
WaitFor = Annotated[float, typer.Option(help="Most seconds to wait for the first answer.")]
Workers = Annotated[int, typer.Option(min=1, help="Number of processes that score.")]
Where = Annotated[Device, typer.Option(help="Device that computes.")]
