"""The commands that faults are tried on: what each reads, writes, and must leave behind."""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, cast

from ncf.artifacts import open_sealed
from ncf.data import datasets
from ncf.data.downloads import Sha256
from ncf.data.manifests import DATA, DATASET
from ncf.data.options import Format
from ncf.data.sources import Members, Source, ZipSource
from ncf.data.titles import grouplens_titles
from ncf.training.manifest import CHECKPOINT
from tests.commands import ncf, snapshot

# So small that each command takes a moment: 12 users, 10 items.
_RATINGS = "user_id,item_id,timestamp\n" + "".join(
    f"u{user},i{(user * 3 + step * (1 + user % 3)) % 10},{1000 + step}\n"
    for user in range(12)
    for step in range(5)
)
_RECIPE = "factors = 2\nlayers = 1\nseed = {}\n[schedule]\nepochs = 3\nbatch_size = 32\n"
_PREPARE = "data prepare --ratings ratings.csv --format csv --negatives 4 --out data --seed "
_TRAIN = "train --data data --model neumf-end --out c --device cpu --resume --config "
_EXPORT = "export --checkpoint c --data data --out store --cold-user "
_BATCH = "batch --bundle store/ncf --out topk --shard-users 4 --device cpu -k "


class Case(NamedTuple):
    """One command.

    Parameters
    ----------
    before : tuple of str
        Commands that make its inputs, and the last good output at the end.
    command : str
        What is disturbed.
    target : str
        What it locks and replaces.
    result : callable
        State of the output, as far as readers see it; raises where that is not whole.
    """

    before: tuple[str, ...]
    command: str
    target: str
    result: Callable[[Path], object]


def _sealed_state(name: str, folder: Path) -> object:
    kind = {"data": DATA, "c": CHECKPOINT, "raw/ml-100k": DATASET}[name]
    if (folder / name).exists() and name != "raw/ml-100k":
        open_sealed(folder / name, kind)
    return snapshot(folder / name)


def _export_state(folder: Path) -> object:
    """Each of bundle and archive is whole, though the archive may be ahead of the bundle."""
    with zipfile.ZipFile(folder / "store" / "ncf.mar") as archive:
        if archive.testzip() is not None:
            raise AssertionError("the archive is damaged")
    archived = (folder / "store" / "ncf.mar").read_bytes()
    return snapshot(folder / "store" / "ncf"), hashlib.sha256(archived).hexdigest()


def _table_state(folder: Path) -> object:
    from batch.runs import open_runs  # noqa: PLC0415 - not every command needs ONNX Runtime
    from batch.verify import verify_run  # noqa: PLC0415 - as above

    run = folder / "topk" / open_runs(folder / "topk").latest()
    verify_run(run, folder / "store" / "ncf")
    return {part.name: part.read_bytes() for part in sorted(run.glob("part-*"))}


def _verified(folder: Path) -> object:
    from export.verify import verify_bundle  # noqa: PLC0415 - as above

    return verify_bundle(folder / "store" / "ncf")


_TRAINED = (f"{_PREPARE}0", f"{_TRAIN}quick.toml")
_EXPORTED = (*_TRAINED, f"{_EXPORT}popular")
CASES: Mapping[str, Case] = {
    "fetch": Case((), "data fetch ml-100k --cache raw", "raw/ml-100k",
        partial(_sealed_state, "raw/ml-100k")),
    "prepare": Case((f"{_PREPARE}1",), f"{_PREPARE}0", "data", partial(_sealed_state, "data")),
    "train": Case((f"{_PREPARE}0", f"{_TRAIN}other.toml"), f"{_TRAIN}quick.toml", "c",
        partial(_sealed_state, "c")),
    "export": Case((*_TRAINED, f"{_EXPORT}error"), f"{_EXPORT}popular", "store/ncf",
        _export_state),
    "verify": Case(_EXPORTED, "verify --bundle store/ncf", "", _verified),
    "batch": Case((*_EXPORTED, f"{_BATCH}2"), f"{_BATCH}3", "topk/runs", _table_state),
}  # fmt: skip


def build(name: str, folder: Path) -> None:
    """Make the world that a command finds."""
    folder.mkdir()
    (folder / "ratings.csv").write_text(_RATINGS)
    for recipe, seed in (("quick", 0), ("other", 1)):
        (folder / f"{recipe}.toml").write_text(_RECIPE.format(seed))
    for command in CASES[name].before:
        # In this process, not in a child: what they load here, no child needs to load again.
        if (found := ncf(*command.split(), cwd=folder)).code:
            raise RuntimeError(f"{command}: {found}")
    if name == "fetch":
        _fetch_and_damage(folder)


def serve_dataset(folder: Path) -> int:
    """Serve a small data set on loopback, from a process of its own; its pid.

    From then on 'ml-100k' is that one in this process and its children.
    """
    folder.mkdir()
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("ml-100k/u.data", "".join(f"{n}\t{n % 7}\t3\t{n}\n" for n in range(40)))
        archive.writestr("ml-100k/u.item", "1|Kolya (1996)|x\n")
    (folder / "ml-100k.zip").write_bytes(content.getvalue())
    handler = partial(_Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    members = Members(
        "ml-100k/u.data",
        Format.MOVIELENS,
        "ml-100k/u.item",
        partial(grouplens_titles, delimiter="|"),
    )
    digest = Sha256(hashlib.sha256(content.getvalue()).hexdigest())
    url = f"http://127.0.0.1:{server.server_port}/ml-100k.zip"
    sources = cast("dict[str, tuple[Source, ...]]", datasets.DATASETS)
    sources["ml-100k"] = (ZipSource(url, digest, members),)
    pid = os.fork()
    if pid == 0:
        server.serve_forever()
    server.server_close()
    return pid


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _fetch_and_damage(folder: Path) -> None:
    if (found := ncf(*CASES["fetch"].command.split(), cwd=folder)).code:
        raise RuntimeError(str(found))
    path = folder / "raw" / "ml-100k" / "u.data"
    path.write_bytes(path.read_bytes()[:-1])


def copied(source: Path, target: Path) -> None:
    """Make one folder the copy of another."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
