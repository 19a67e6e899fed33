"""``ncf serve`` answers requests over HTTP, by our own server or by TorchServe."""

import json
import logging
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

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
    OldFlag,
    OldNumber,
    Port,
    Queue,
    Remember,
    Sending,
    ServerKind,
    ServerTokenFile,
    State,
    WaitFor,
    Workers,
)
from ncf.cli.output import say
from ncf.errors import ServerError
from ncf.serving.settings import TOKEN_FILE, Ports, Settings

if TYPE_CHECKING:
    from ncf.serving.asgi import ServerSettings
    from ncf.serving.process import Server
    from ncf.serving.tokens import Tokens

logger = logging.getLogger(__name__)

_TOKEN_MINUTES = Settings.token_minutes
_OLD_PORTS = ("management_port", "metrics_port", "grpc_port", "grpc_management_port")
_OLD = (*_OLD_PORTS, "token_minutes", "model_api")


def serve(
    model_store: ModelStore = Path("model_store"),
    name: ModelName = "ncf",
    server: ServerKind = "asgi",
    workers: Workers = 1,
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
    remember: Remember = 16,
    wait: WaitFor = 120.0,
    management_port: OldNumber = None,
    metrics_port: OldNumber = None,
    grpc_port: OldNumber = None,
    grpc_management_port: OldNumber = None,
    token_minutes: OldNumber = None,
    model_api: OldFlag = False,
) -> None:
    """Serve a model over HTTP on loopback, with a token, until Ctrl-C.

    A new bundle in the folder replaces the old one without a lost request.

    Example: ncf serve --model-store model_store --workers 2
    """
    folders = (model_store.absolute(), name, state.absolute())
    ports = (management_port, metrics_port, grpc_port, grpc_management_port)
    if server == "torchserve":
        old = Settings(*folders, _ports(port, ports), model_api, token_minutes or _TOKEN_MINUTES)
        _serve_torchserve(old, workers, wait)
        return
    from ncf.serving.asgi import ServerSettings, read_canaries
    from ncf.serving.supervisor import serve as serve_asgi
    from ncf.serving.tokens import TokenSources

    _warn_of_old((*ports, token_minutes, model_api or None))
    tokens = TokenSources(folders[2], token_file, admin_token_file, not no_token)
    chosen = ServerSettings(folders[0], tokens, name, read_canaries(canary), host, port, workers)
    chosen = replace(chosen, certificate=certificate, key=key, access_log=access_log, follow=follow)
    chosen = replace(chosen, sending=sending, deadline=deadline, queue=queue, remember=remember)
    serve_asgi(chosen, lambda bound, found: _introduce(chosen, bound, found), wait)


def _ports(port: int, others: tuple[int | None, ...]) -> Ports:
    given = {
        name: number for name, number in zip(_OLD_PORTS, others, strict=True) if number is not None
    }
    return Ports(port, **given)


def _warn_of_old(values: tuple[object, ...]) -> None:
    unused = [name for name, value in zip(_OLD, values, strict=True) if value is not None]
    if unused:
        named = ", ".join(f"`{option}`" for option in unused)
        logger.warning('%s: no effect without `server="torchserve"`', named)


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
