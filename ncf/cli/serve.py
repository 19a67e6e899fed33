"""``ncf serve`` runs TorchServe with safe defaults."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    State,
    TokenMinutes,
)
from ncf.cli.output import say
from ncf.errors import ServerError
from ncf.serving.settings import TOKEN_FILE, Ports, Settings

if TYPE_CHECKING:
    from ncf.serving.process import Server


def serve(
    model_store: ModelStore = Path("model_store"),
    name: ModelName = "ncf",
    workers: Annotated[int, typer.Option(min=1, help="Number of processes that score.")] = 1,
    state: State = Path(".serve"),
    port: Port = Ports.port,
    management_port: ManagementPort = Ports.management_port,
    metrics_port: MetricsPort = Ports.metrics_port,
    grpc_port: GrpcPort = Ports.grpc_port,
    grpc_management_port: GrpcManagementPort = Ports.grpc_management_port,
    model_api: ModelApi = False,
    token_minutes: TokenMinutes = Settings.token_minutes,
    wait: Annotated[float, typer.Option(help="Most seconds to wait for the first answer.")] = 120.0,
) -> None:
    """Serve a model with TorchServe on loopback, with tokens, until Ctrl-C.

    Example: ncf serve --model-store model_store
    """
    from ncf.serving.process import running

    ports = Ports(port, management_port, metrics_port, grpc_port, grpc_management_port)
    folders = (model_store.absolute(), name, state.absolute())
    settings = Settings(*folders, ports, model_api, token_minutes)
    with running(settings, workers, wait) as server:
        _introduce(server, workers)
        try:
            status = server.process.wait()
        except KeyboardInterrupt:
            say("stopping")
            return
    raise ServerError(f"TorchServe ended with {status}", where=settings.logs)


def _introduce(server: "Server", workers: int) -> None:
    settings = server.settings
    tokens = settings.state / TOKEN_FILE
    read = "import json, sys; print(json.load(open(sys.argv[1]))['inference']['key'])"
    token = f'$(python3 -c "{read}" {shlex.quote(str(tokens))})'
    body = json.dumps({"user": server.user, "k": 10})
    say(f"address  {settings.url}/predictions/{settings.name}  ({workers} workers)")
    say(f"metrics  http://127.0.0.1:{settings.ports.metrics_port}/metrics")
    say(f"tokens   {tokens}, for {settings.token_minutes:,} minutes")
    say(f"logs     {settings.logs}")
    say("try")
    say(
        f'  curl -s -H "Authorization: Bearer {token}" -H "Content-Type: application/json" '
        f"-d {shlex.quote(body)} {settings.url}/predictions/{settings.name}"
    )
    say("Ctrl-C stops it")
