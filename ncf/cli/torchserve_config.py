"""``ncf torchserve-config`` writes the settings of 'ncf serve', to run TorchServe yourself."""

from pathlib import Path
from typing import Annotated

import typer

from ncf.cli.options import (
    GrpcManagementPort,
    GrpcPort,
    ManagementPort,
    MetricsPort,
    ModelApi,
    ModelName,
    ModelStore,
    Port,
    TokenMinutes,
)
from ncf.cli.output import say
from ncf.serving.settings import Ports, Settings


def torchserve_config(
    out: Annotated[Path, typer.Argument(help="Folder to write; logs and tokens go there too.")],
    model_store: ModelStore = Path("model_store"),
    name: ModelName = "ncf",
    port: Port = Ports.port,
    management_port: ManagementPort = Ports.management_port,
    metrics_port: MetricsPort = Ports.metrics_port,
    grpc_port: GrpcPort = Ports.grpc_port,
    grpc_management_port: GrpcManagementPort = Ports.grpc_management_port,
    model_api: ModelApi = False,
    token_minutes: TokenMinutes = Settings.token_minutes,
) -> None:
    """Write TorchServe's files as 'ncf serve' would, and print the command that starts it.

    The command starts one worker; the management API adds more (docs/operations.md).

    Example: ncf torchserve-config serving --model-store model_store
    """
    from ncf.serving.process import start_command

    ports = Ports(port, management_port, metrics_port, grpc_port, grpc_management_port)
    folders = (model_store.absolute(), name, out.absolute())
    settings = Settings(*folders, ports, model_api, token_minutes)
    settings.write()
    say(start_command(settings))
