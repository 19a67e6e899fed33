"""Our handler against one that does nothing, both served at once with the same settings.

Rounds alternate between the two, so that a noisy neighbour meets both. The clients are one
process on the same cores: figures compare the handlers, and are no limit of a machine.

    python -m benchmarks.serve
    python -m benchmarks.serve --checkpoint checkpoints/mine --data data/mine [--no-screen]
    python -m benchmarks.serve --soak 300
"""

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.synthetic import make_bundle, make_data
from export.publish import publish
from export.source import Source
from ncf.data.prepared import open_data
from ncf.models.kinds import Kind
from ncf.scoring.bundle import open_bundle
from ncf.serving.check import golden_user, read_token
from ncf.serving.process import Server, running
from ncf.serving.settings import HOST, Ports, Settings
from ncf.training.checkpoint import open_checkpoint

_CLIENTS = (1, 8, 32)
_MIB = 1 << 20
_NOTHING = """\
def handle(data, context):
    if data is None:
        return None
    for position in range(len(data)):
        context.set_response_content_type(position, "application/json")
    return [{answer!r}] * len(data)
"""


def write_nothing(archive: Path, target: Path) -> None:
    """Write the same archive with a handler that gives one fixed, empty list."""
    user, digest = golden_user(archive)
    answer = json.dumps({"user": user, "policy": "model", "items": [], "model": digest}).encode()
    with zipfile.ZipFile(archive) as before, zipfile.ZipFile(target, "w") as after:
        for name in before.namelist():
            nothing = name == "ncf_handler.py"
            after.writestr(name, _NOTHING.format(answer=answer) if nothing else before.read(name))


@contextmanager
def both(folder: Path, workers: int) -> Iterator[tuple[Server, Server]]:
    """Serve the model in a folder, and nothing."""
    (folder / "nothing").mkdir()
    write_nothing(folder / "ncf.mar", folder / "nothing" / "ncf.mar")
    first, second = Ports(), Ports(*range(8180, 8185))
    ours = Settings(folder, "ncf", folder / "a", first)
    nothing = Settings(folder / "nothing", "ncf", folder / "b", second)
    with running(ours, workers, 120) as one, running(nothing, workers, 120) as other:
        yield one, other


def make_model(folder: Path, arguments: argparse.Namespace) -> None:
    """Export a trained model, or one of random weights at ML-1M's size."""
    if arguments.checkpoint is None:
        make_bundle(folder, make_data(folder / "data", 6038, 3533, 95), arguments.kind)
    else:
        checkpoint, data = open_checkpoint(arguments.checkpoint), open_data(arguments.data)
        publish(Source(checkpoint, data, screen=not arguments.no_screen), folder, "ncf")


async def _ask(server: Server, users: Iterator[str], until: float, seconds: list[float]) -> None:
    token = read_token(server.token_file, "inference")
    port = server.settings.ports.port
    reader, writer = await asyncio.open_connection(HOST, port)
    while (started := time.perf_counter()) < until:
        body = json.dumps({"user": next(users), "k": 10})
        writer.write(
            (
                f"POST /predictions/ncf HTTP/1.1\r\nHost: {HOST}\r\n"
                f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}"
            ).encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
        if " 200 " not in head[:20]:
            raise SystemExit(head)
        seconds.append(time.perf_counter() - started)
    writer.close()


def load(server: Server, clients: int, lasting: float) -> list[float]:
    """Ask for that many seconds; the seconds that each answer took."""
    seconds: list[float] = []
    bundle = server.settings.state.parent / "ncf"
    users = itertools.cycle(open_bundle(bundle).users.raw[::7])

    async def everyone() -> None:
        until = time.perf_counter() + lasting
        await asyncio.gather(*(_ask(server, users, until, seconds) for _ in range(clients)))

    asyncio.run(everyone())
    return seconds


def memory(server: Server) -> tuple[int, int]:
    """Bytes of a worker's own and resident, the mean over workers."""
    found = [psutil.Process(worker["pid"]).memory_full_info() for worker in server.workers()]
    return sum(each.uss for each in found) // len(found), sum(e.rss for e in found) // len(found)


def compare(ours: Server, nothing: Server, rounds: int, lasting: float) -> None:
    """Print throughput and latency of both by number of clients."""
    for server in (ours, nothing):
        load(server, 8, lasting)  # Java compiles what is hot
    print("clients  ours/s  nothing/s  ratio  ours p50 ms  nothing p50 ms  ours p99 ms")
    for clients in _CLIENTS:
        pairs = [
            (load(ours, clients, lasting), load(nothing, clients, lasting)) for _ in range(rounds)
        ]
        rates = [[len(each) / lasting for each in side] for side in zip(*pairs, strict=True)]
        mine, its = (sorted(itertools.chain(*side)) for side in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in zip(*rates, strict=True))
        print(
            f"{clients:7}  {statistics.median(rates[0]):6.0f}  {statistics.median(rates[1]):9.0f}"
            f"  {ratio:5.2f}  {1000 * statistics.median(mine):11.2f}"
            f"  {1000 * statistics.median(its):14.2f}  {1000 * mine[len(mine) * 99 // 100]:11.1f}",
            flush=True,
        )
    for name, server in (("ours", ours), ("nothing", nothing)):
        own, resident = memory(server)
        print(f"memory a worker, {name}: {own // _MIB} MiB its own, {resident // _MIB} resident")


def soak(server: Server, lasting: float, samples: int = 10) -> None:
    """Ask with eight clients and print a worker's memory as time goes."""
    print("seconds  answers  worker MiB its own  resident  Java resident")
    answers, started = 0, time.monotonic()
    java = next(iter(psutil.Process(server.process.pid).children()))
    for _ in range(samples):
        answers += len(load(server, 8, lasting / samples))
        own, resident = memory(server)
        print(
            f"{time.monotonic() - started:7.0f}  {answers:7,}  {own / _MIB:18.1f}"
            f"  {resident / _MIB:8.1f}  {java.memory_info().rss / _MIB:13.1f}",
            flush=True,
        )


def main() -> None:
    """Compare, or soak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", type=Kind, default=Kind.NEUMF)
    parser.add_argument("--checkpoint", type=Path, help="a trained model, in place of a random one")
    parser.add_argument("--data", type=Path, help="what it was trained on")
    parser.add_argument("--no-screen", action="store_true", help="export it without a screen")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round")
    parser.add_argument("--soak", type=float, help="seconds of load instead of the comparison")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ncf-") as scratch:
        make_model(Path(scratch), arguments)
        with both(Path(scratch), arguments.workers) as (ours, nothing):
            if arguments.soak:
                soak(ours, arguments.soak)
            else:
                compare(ours, nothing, arguments.rounds, arguments.seconds)


if __name__ == "__main__":
    main()
