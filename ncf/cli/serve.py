"""``ncf serve`` answers requests over HTTP, by our own server or by TorchServe."""

import json
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ncf.cli.options import (
    AccessLog,
    AdminTokenFile,
    Canary,
    Certificate,
    Deadline,
    Follow,
    Host,
    KeyFile,
    ModelName,
    ModelStore,
    NoToken,
    Port,
    Queue,
    Sending,
    ServerTokenFile,
    State,
)
from ncf.cli.output import say
from ncf.errors import ServerError
from ncf.serving.settings import TOKEN_FILE, Ports, Settings

if TYPE_CHECKING:
    from ncf.serving.asgi import ServerSettings
    from ncf.serving.process import Server
    from ncf.serving.tokens import Tokens

logger = logging.getLogger(__name__)

_OLD = "TorchServe only."
_OldPort = Annotated[int | None, typer.Option(help=_OLD, show_default=False)]


def serve(
    model_store: ModelStore = Path("model_store"),
    name: ModelName = "ncf",
    server: Annotated[
        Literal["asgi", "torchserve"], typer.Option(help="Our server, or TorchServe.")
    ] = "asgi",
    workers: Annotated[int, typer.Option(min=1, help="Number of processes that score.")] = 1,
    host: Host = "127.0.0.1",
    port: Port = Ports.port,
    state: State = Path(".serve"),
    token_file: ServerTokenFile = None,
    admin_token_file: AdminTokenFile = None,
    no_token: NoToken = False,
    certificate: Certificate = None,
    key: KeyFile = None,
    canary: Canary = [],  # noqa: B006 - typer copies it
    access_log: AccessLog = False,
    follow: Follow = 2.0,
    sending: Sending = 10.0,
    deadline: Deadline = 10.0,
    queue: Queue = 1000,
    wait: Annotated[float, typer.Option(help="Most seconds to wait for the first answer.")] = 120.0,
    management_port: _OldPort = None,
    metrics_port: _OldPort = None,
    grpc_port: _OldPort = None,
    grpc_management_port: _OldPort = None,
    model_api: Annotated[bool, typer.Option("--model-api", help=_OLD)] = False,
    token_minutes: _OldPort = None,
) -> None:
    """Serve a model over HTTP on loopback, with a token, until Ctrl-C.

    A new bundle in the folder replaces the old one without a lost request.

    Example: ncf serve --model-store model_store --workers 2
    """
    ports = {
        "management_port": management_port,
        "metrics_port": metrics_port,
        "grpc_port": grpc_port,
        "grpc_management_port": grpc_management_port,
    }
    if server == "torchserve":
        given = {field: number for field, number in ports.items() if number is not None}
        settings = Settings(
            model_store.absolute(),
            name,
            state.absolute(),
            Ports(port, **given),
            model_api,
            Settings.token_minutes if token_minutes is None else token_minutes,
        )
        _serve_torchserve(settings, workers, wait)
        return
    from ncf.serving.asgi import ServerSettings, read_canaries
    from ncf.serving.supervisor import serve as serve_asgi
    from ncf.serving.tokens import TokenSources

    old = {**ports, "token_minutes": token_minutes, "model_api": model_api or None}
    if unused := [option for option, value in old.items() if value is not None]:
        named = ", ".join(f"`{option}`" for option in unused)
        logger.warning('%s: no effect without `server="torchserve"`', named)
    chosen = ServerSettings(
        store=model_store.absolute(),
        tokens=TokenSources(state.absolute(), token_file, admin_token_file, not no_token),
        name=name,
        canaries=read_canaries(canary),
        host=host,
        port=port,
        workers=workers,
        certificate=certificate,
        key=key,
        access_log=access_log,
        follow=follow,
        sending=sending,
        deadline=deadline,
        queue=queue,
    )
    serve_asgi(chosen, lambda bound, tokens: _introduce(chosen, bound, tokens), wait)


def _introduce(settings: "ServerSettings", port: int, tokens: "Tokens") -> None:
    from ncf.serving.asgi import first_user
    from ncf.serving.tokens import TOKEN

    scheme = "http" if settings.certificate is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"{scheme}://{host}:{port}"
    say(f"address  {url}/predictions/{settings.name}  ({settings.workers} workers)")
    say(f"metrics  {url}/metrics")
    header = ""
    if tokens.place:
        value = "$NCF_TOKEN" if tokens.place == TOKEN else f"$(cat {shlex.quote(tokens.place)})"
        say(f"token    {tokens.place}")
        header = f'-H "Authorization: Bearer {value}" '
    body = json.dumps({"user": first_user(settings.store / settings.name), "k": 10})
    say("try")
    say(
        f'  curl -s {header}-H "Content-Type: application/json" -d {shlex.quote(body)} '
        f"{url}/predictions/{settings.name}"
    )
    say("Ctrl-C stops it")


def _serve_torchserve(settings: Settings, workers: int, wait: float) -> None:
    from ncf.serving.process import running

    with running(settings, workers, wait) as server:
        _introduce_torchserve(server, workers)
        try:
            status = server.process.wait()
        except KeyboardInterrupt:
            say("stopping")
            return
    raise ServerError(f"TorchServe ended with {status}", where=settings.logs)


def _introduce_torchserve(server: "Server", workers: int) -> None:
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
