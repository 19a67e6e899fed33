"""An ASGI application that reads a body and gives one fixed answer, under the server of ours.

python -m benchmarks.nothing DESCRIPTOR
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import uvicorn
import uvloop

from handlers.connections import GuardedProtocol

_BODY = b'{"user":"196","policy":"model","items":[],"model":"000000000000"}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]


async def nothing(
    scope: Mapping[str, Any],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer."""
    del scope
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


def _work(descriptor: int) -> None:
    config = uvicorn.Config(
        nothing,
        http=GuardedProtocol,
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[socket.socket(fileno=descriptor)]))


@contextlib.contextmanager
def serving_nothing(workers: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Serve nothing with a number of processes; gives the port and the processes' ids."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2048))
        command = [sys.executable, "-m", "benchmarks.nothing", str(listening.fileno())]
        pids = []
        for _ in range(workers):
            process = subprocess.Popen(command, pass_fds=[listening.fileno()])
            pids.append(process.pid)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        yield listening.getsockname()[1], tuple(pids)


if __name__ == "__main__":
    _work(int(sys.argv[1]))
