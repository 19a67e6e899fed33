"""What the reader of a page has when it begins, and how they run its blocks."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np
import psycopg
import requests

from tests.batch.push.servers import PASSWORD
from tests.commands import done
from tests.docs.blocks import Block
from tests.docs.error_list import ROOT

_USERS, _ITEMS = 240, 300
_TRAIN = """
data prepare --ratings ratings.csv --titles movies.csv --min-rating 2 --out data/mine
train --data data/mine --model gmf --out checkpoints/mine
export --checkpoint checkpoints/mine --data data/mine --out model_store
export --checkpoint checkpoints/mine --data data/mine --out model_store --name mine
batch --bundle model_store/ncf --out topk
batch --bundle model_store/ncf --out topk --exclude-items gone.csv
"""


def nothing(_folder: Path) -> None:
    """Start with an empty folder."""


def ratings(folder: Path) -> None:
    """Write files as a shop would have them: ratings of two camps of films, titles, tonight's."""
    rng = np.random.default_rng(11)
    rows, tonight = ["userId,movieId,rating,timestamp"], ["user_id,item_id"]
    for user in range(1, _USERS + 1):
        taken = rng.choice(np.arange(1 + user % 2, _ITEMS + 1, 2), 24, replace=False)
        rows += [f"{user},{item},{2 + item % 4},{10**9 + n}" for n, item in enumerate(taken[:20])]
        tonight += [f"{user},{item}" for item in taken[20:]]
    tonight += [f"new{n},{item}" for n in range(5) for item in range(1 + n % 2, 40, 4)]
    _write(folder / "ratings.csv", rows)
    _write(folder / "tonight.csv", tonight)
    films = range(1, _ITEMS + 1)
    _write(folder / "movies.csv", ["movieId,title", *(f"{n},Film {n}" for n in films)])
    _write(folder / "gone.csv", ["item_id", "3"])
    _write(folder / "returned.csv", ["user_id,item_id", "196,50", "7,181"])
    _write(folder / "today.csv", ["user_id,item_id", *(f"{user},9001" for user in range(1, 80, 2))])
    _write(folder / "titles.csv", ["item_id,title", "9001,Premiere"])


def trained(folder: Path) -> None:
    """Train, export, and publish two tables, beside the files that they came from."""
    ratings(folder)
    for line in _TRAIN.strip().splitlines():
        done(*line.split(), cwd=folder)
    _write(folder / "gates.toml", [done("init", "gates", cwd=folder)])


# A PostgreSQL server as the pages name it; 'starts with: postgres' puts a real one in its place.
SHOP = "postgresql://shop@db.example/shop"
WORLDS: dict[str, Callable[[Path], None]] = {
    "nothing": nothing,
    "ratings": ratings,
    "trained": trained,
    "postgres": trained,
}


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


class Reader:
    """Runs the blocks of a page in a folder, one after another, as its reader would.

    Parameters
    ----------
    folder : Path
        Where they are; ``RUN``, ``RUN_A`` and ``RUN_B`` of a page are runs of its ``topk``.
    shop : str
        URI of the PostgreSQL server that the reader has.
    """

    def __init__(self, folder: Path, shop: str = SHOP) -> None:
        self._shop = shop
        self._folder = folder
        self._names: dict[str, object] = {}
        self._staying: list[subprocess.Popen[str]] = []
        with socket.socket() as free:  # the page says 8080, which others may use
            free.bind(("127.0.0.1", 0))
            self._port = str(free.getsockname()[1])

    def run(self, block: Block) -> None:
        """Run a block, write it if it is a file, or leave it out if the page says so."""
        if block.is_left_out or not block.is_code:
            return
        if block.title:
            path = self._folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "sql":
            self._ask(block)
        elif block.language == "python":
            with chdir(self._folder):
                code = compile(self._here(block.text), str(block), "exec")
                exec(code, self._names)  # noqa: S102 - our own page
        else:
            self._shell(block)

    def close(self) -> None:
        """End what stays as Ctrl-C does; it must end well."""
        for process in self._staying:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) in {0, 130}

    def _here(self, text: str) -> str:
        runs = [path.parent.name for path in sorted(self._folder.glob("topk/*/_SUCCESS"))]
        if runs:
            text = text.replace("RUN_A", runs[0]).replace("RUN_B", runs[-1])
            text = text.replace(" RUN ", f" {runs[-1]} ").replace("topk/RUN", f"topk/{runs[-1]}")
        text = text.replace("ncf serve ", f"ncf serve --port {self._port} ")
        text = text.replace(SHOP, self._shop)
        return text.replace(":8080", f":{self._port}")

    def _ask(self, block: Block) -> None:
        with psycopg.connect(self._shop, password=PASSWORD) as connection:
            rows = connection.execute(block.text.encode()).fetchall()
        assert rows, f"{block} finds nothing"

    def _shell(self, block: Block) -> None:
        text = f"set -euo pipefail\n{self._here(block.text)}"
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        options = {
            "cwd": self._folder,
            "env": os.environ | {"PATH": tools, "PGPASSWORD": PASSWORD},
            "text": True,
        }
        if block.mark == "stays":
            lines = text.rstrip().splitlines()
            lines[-1] = f"exec {lines[-1]}"
            self._staying.append(subprocess.Popen(["bash", "-c", "\n".join(lines)], **options))  # type: ignore[call-overload]  # noqa: S607
            self._await(f"http://127.0.0.1:{self._port}/readyz")
            return
        expected = int(block.mark.removeprefix("ends with ") or 0)
        ended = subprocess.run(  # type: ignore[call-overload]
            ["bash", "-c", text],  # noqa: S607
            capture_output=True,
            check=False,
            timeout=600,
            **options,
        )
        assert ended.returncode == expected, f"{block}\n{ended.stdout}\n{ended.stderr}"

    def _await(self, url: str) -> None:
        for _ in range(600):
            try:
                if requests.get(url, timeout=5).ok:
                    return
            except requests.RequestException:
                pass
            assert self._staying[-1].poll() is None, "the server ended"
            time.sleep(0.1)
        raise AssertionError(f"{url} is not ready after a minute")


def copy_of(world: Path, folder: Path) -> Path:
    """Copy a world, and what of the repository a page may use beside it."""
    shutil.copytree(world, folder, dirs_exist_ok=True)
    shutil.copytree(ROOT / "deploy", folder / "deploy", dirs_exist_ok=True)
    return folder
