"""``ncf serve``: TorchServe with safe defaults, or a check of one that runs."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ncf.cli.output import say, show
from ncf.errors import ServerError, UsageError
from ncf.serving.settings import TOKEN_FILE, Ports, Settings

if TYPE_CHECKING:
    from ncf.serving.process import Server


def serve(
    model_store: Annotated[Path, typer.Option(help="Folder of exported models.")] = Path(
        "model_store"
    ),
    name: Annotated[str, typer.Option(help="Of the model; its archive is NAME.mar.")] = "ncf",
    workers: Annotated[int, typer.Option(min=1, help="Processes that score.")] = 1,
    state: Annotated[Path, typer.Option(help="Folder of tokens, logs, temporary files.")] = Path(
        ".serve"
    ),
    port: Annotated[int, typer.Option(help="Of predictions.")] = Ports.port,
    management_port: Annotated[int, typer.Option(help="Of the management API.")] = (
        Ports.management_port
    ),
    metrics_port: Annotated[int, typer.Option(help="Of metrics.")] = Ports.metrics_port,
    grpc_port: Annotated[int, typer.Option(help="Of predictions by gRPC.")] = Ports.grpc_port,
    grpc_management_port: Annotated[int, typer.Option(help="Of management by gRPC.")] = (
        Ports.grpc_management_port
    ),
    model_api: Annotated[
        bool, typer.Option("--model-api", help="Let the management API register models.")
    ] = False,
    token_minutes: Annotated[int, typer.Option(min=1, help="Until tokens end.")] = (
        Settings.token_minutes
    ),
    wait: Annotated[float, typer.Option(help="Seconds that the first answer may take.")] = 120.0,
    print_config: Annotated[
        Path | None, typer.Option(help="Write TorchServe's files here and end.")
    ] = None,
    check: Annotated[str | None, typer.Option(help="Check the server at this URL and end.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="For --check: key_file.json, else that of --state.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="For --check, else a user of the archive.")
    ] = None,
    times: Annotated[int, typer.Option(min=1, help="For --check: predictions timed.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Serve a model with TorchServe on loopback, with tokens, until Ctrl-C.

    Example: ncf serve --model-store model_store

    Example: ncf serve --check http://127.0.0.1:8080
    """
    from ncf.serving.process import OTHER_CONFIG, environment, running

    ports = Ports(port, management_port, metrics_port, grpc_port, grpc_management_port)
    folder = (print_config or state).absolute()
    settings = Settings(model_store.absolute(), name, folder, ports, model_api, token_minutes)
    if check is not None:
        show(_checked(check, settings, token_file, user, times), as_json=as_json)
        return
    if print_config is not None:
        if workers > 1:
            raise UsageError(
                "--print-config starts one worker",
                remedy="scale it through the management API: docs/operations.md",
            )
        settings.write()
        assigned = [f"{each}={value}" for each, value in environment(settings, workers).items()]
        program = [sys.executable, "-m", "ts.model_server", *settings.arguments()]
        words = ["env", "-u", OTHER_CONFIG, *assigned, *program]
        say(f"cd {shlex.quote(str(folder))}")
        say(shlex.join(words))
        return
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


def _checked(
    url: str, settings: Settings, token_file: Path | None, user: str | None, times: int
) -> dict[str, object]:
    from ncf.serving.check import Client, golden_user, measure

    own = settings.state / TOKEN_FILE
    tokens = token_file or (own if own.exists() else None)
    if user is None:
        if not settings.archive.is_file():
            raise UsageError("--check needs --user, or --model-store and --name of the archive")
        user, _ = golden_user(settings.archive)
    return measure(Client(url, settings.name, tokens), user, times)
