"""Our server against a do-nothing application under the same uvicorn, and against TorchServe.

All run at once, and rounds alternate between them, so that a noisy neighbour meets each; ratios are
medians over rounds, of figures of one round. Clients are one process on the same cores: figures
compare servers, and are no limit of a machine; CPU is that of all processes of a server, for an
answer. Nothing is remembered but in the rows of that name,
where every answer was given before.

    python -m benchmarks.serve --models /tmp/models [--rounds 5] [--seconds 2]
    python -m benchmarks.serve --checkpoint checkpoints/mine --data data/mine
"""

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.gpu.making import trained_source
from benchmarks.load import bodies, load, percentiles
from benchmarks.nothing import serving_nothing
from benchmarks.synthetic import make_bundle, make_data
from export.publish import publish
from ncf.models.kinds import Kind
from ncf.scoring.bundle import open_bundle
from ncf.serving.check import read_token
from ncf.serving.process import running
from ncf.serving.settings import Ports, Settings

_CLIENTS = (1, 8, 32, 128)
_MIB = 1 << 20
_OLD = "torchserve"
_TOKEN = "a-token-of-the-benchmark"  # noqa: S105 - on loopback
_OLD_QUEUE = 100  # requests that TorchServe lets wait
_NEUMF, _GMF = "neumf", "gmf"
_RANKINGS = (  # a name, a model, whether it ranks exactly, MiB of answers that are remembered
    ("screened", _NEUMF, False, 0),
    ("exact", _NEUMF, True, 0),
    ("gmf", _GMF, False, 0),
    ("remembered", _NEUMF, False, 16),
)


@dataclass(frozen=True)
class Target:
    """A server under load: its port, the token that it asks for, and its first processes."""

    name: str
    port: int
    token: str | None
    pids: tuple[int, ...]

    def cpu(self) -> float:
        """Seconds of CPU that all of its processes have taken."""
        first = [psutil.Process(pid) for pid in self.pids]
        every = [*first, *(each for one in first for each in one.children(recursive=True))]
        return sum(sum(each.cpu_times()[:2]) for each in every)


@dataclass(frozen=True)
class Figures:
    """What a server did in a round: answers a second, milliseconds, and CPU us an answer."""

    rate: float
    median: float
    p99: float
    cpu: float


def make_models(folder: Path, arguments: argparse.Namespace) -> None:
    """Export a trained NeuMF of ML-1M's size with a screen, and a GMF of random weights."""
    if not (folder / _NEUMF / "ncf").is_dir():
        source = trained_source(
            folder / "made", arguments.checkpoint, arguments.data, small=arguments.small
        )
        publish(source, folder / _NEUMF, "ncf")
    if not (folder / _GMF / "ncf").is_dir():
        sizes = (120, 300, 12) if arguments.small else (6038, 3533, 95)
        data = make_data(folder / _GMF / "data", *sizes)
        make_bundle(folder / _GMF, data, Kind.GMF)


@contextlib.contextmanager
def serving_ours(
    store: Path, workers: int, remember: int = 0
) -> Iterator[tuple[Target, "subprocess.Popen[str]"]]:
    """Run ``ncf serve``; prints how long it took until every worker answered."""
    words = ["serve", "--model-store", str(store), "--port", "0", "--workers", str(workers)]
    words += ["--remember", str(remember)]
    command = [sys.executable, "-c", "from ncf.cli import main; main()", *words]
    started = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"NCF_TOKEN": _TOKEN}
    ) as process:
        try:
            lines = iter(process.stdout or ())
            said = next(line for line in lines if line.startswith("address"))
            print(f"ready after {time.monotonic() - started:.2f} s, {workers} workers")
            port = int(re.findall(r":(\d+)/", said)[0])
            yield Target("ours", port, _TOKEN, (process.pid,)), process
        finally:
            process.terminate()


@contextlib.contextmanager
def serving_torchserve(store: Path, workers: int) -> Iterator[Target]:
    """Run TorchServe as ``ncf serve --server torchserve`` does."""
    with tempfile.TemporaryDirectory(prefix="ncf-") as state:
        settings = Settings(store, "ncf", Path(state, "s"), Ports(*range(8180, 8185)))
        with running(settings, workers, 120) as server:
            token = read_token(server.token_file, "inference")
            yield Target(_OLD, settings.ports.port, token, (server.process.pid,))


def measure(
    targets: list[Target], asked: list[bytes], clients: int, rounds: int, lasting: float
) -> dict[str, list[Figures]]:
    """Load each server in turn, again and again; gives figures by round."""
    found: dict[str, list[Figures]] = {target.name: [] for target in targets}
    for _ in range(rounds):
        for target in targets:
            before = target.cpu()
            seconds = load(target.port, clients, lasting, asked, target.token)
            cpu = 1e6 * (target.cpu() - before) / len(seconds)
            median, p99 = percentiles(seconds, 0.5, 0.99)
            figures = Figures(len(seconds) / lasting, median, p99, cpu)
            found[target.name].append(figures)
    return found


def compare(
    targets: list[Target], asked: list[bytes], title: str, arguments: argparse.Namespace
) -> None:
    """Print a line for each number of clients."""
    for target in targets:
        load(target.port, 8, 1.0, asked, target.token)
    for clients in arguments.clients:
        asked_now = [t for t in targets if t.name != _OLD or clients <= _OLD_QUEUE]
        found = measure(asked_now, asked, clients, arguments.rounds, arguments.seconds)
        print(f"| {title} | {clients} | {_line(found)} |", flush=True)


def _line(found: dict[str, list[Figures]]) -> str:
    """Write the cells of a line."""
    ours, nothing, old = found["ours"], found["nothing"], found.get(_OLD)
    pairs = list(zip(ours, nothing, strict=True))
    middle = statistics.median
    cells = [
        f"{middle(each.rate for each in ours):,.0f}",
        f"{middle(each.rate for each in nothing):,.0f}",
        f"{middle(mine.rate / theirs.rate for mine, theirs in pairs):.2f}",
        f"{middle(each.median for each in ours):.2f}",
        f"{middle(each.median for each in nothing):.2f}",
        f"{middle(mine.median / theirs.median for mine, theirs in pairs):.1f}",
        f"{middle(each.p99 / each.median for each in ours):.1f}",
        *(f"{middle(each.cpu for each in every):.0f}" for every in (ours, nothing)),
        *(
            ("-", "-", "-")
            if old is None
            else (
                f"{middle(each.rate for each in old):,.0f}",
                f"{middle(each.median for each in old):.2f}",
                f"{middle(each.cpu for each in old):.0f}",
            )
        ),
    ]
    return " | ".join(cells)


def memory(process: "subprocess.Popen[str]") -> list[int]:
    """Private memory of each worker, MiB."""
    workers = psutil.Process(process.pid).children()
    return [each.memory_full_info().uss // _MIB for each in workers]


def run(folder: Path, arguments: argparse.Namespace) -> None:
    """Compare for each model, ranking and number of workers."""
    head = "ranking, workers | clients | ours/s | nothing/s | ratio | ours p50 ms | nothing p50 ms"
    more = "ratio | ours p99 / p50 | ours CPU us | nothing CPU us"
    print(f"| {head} | {more} | TorchServe/s | its p50 ms | its CPU us |")
    print("|" + " --- |" * 14)
    for workers in arguments.workers:
        for ranking, model, exact, remember in _RANKINGS:
            if ranking not in arguments.rankings:
                continue
            users = list(open_bundle(folder / model / "ncf").users.raw)[::7]
            with contextlib.ExitStack() as stack:
                ours, process = stack.enter_context(serving_ours(folder / model, workers, remember))
                port, pids = stack.enter_context(serving_nothing(workers))
                targets = [ours, Target("nothing", port, None, pids)]
                if workers == 1 and not arguments.no_torchserve:
                    targets.append(stack.enter_context(serving_torchserve(folder / model, 1)))
                time.sleep(1.0)
                compare(targets, bodies(users, exact=exact), f"{ranking}, {workers}", arguments)
                print(f"private memory of the workers: {memory(process)} MiB", flush=True)


def main() -> None:
    """Make the models, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, help="folder of the models, made where missing")
    parser.add_argument("--checkpoint", type=Path, help="a trained NeuMF in place of a made-up one")
    parser.add_argument("--data", type=Path, help="what it was trained on")
    parser.add_argument("--small", action="store_true", help="tiny models, to try this out")
    parser.add_argument("--no-torchserve", action="store_true")
    names = [name for name, *_ in _RANKINGS]
    parser.add_argument("--rankings", nargs="+", choices=names, default=names)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--clients", type=int, nargs="+", default=list(_CLIENTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round and server")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ncf-") as scratch:
        folder = arguments.models or Path(scratch)
        make_models(folder, arguments)
        run(folder, arguments)


if __name__ == "__main__":
    main()
