"""Make the pictures of ``docs/gallery.md``: ``make gallery``.

    python -m tests.docs.gallery

The tutorial's blocks run in a new folder. Then terminal sessions are typed there and drawn, and the
training picture of its checkpoint is taken. ``made.json`` has the digest of the code that draws the
pictures, so that a test knows which are stale without comparing pixels.
"""

import hashlib
import inspect
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.commands import done
from tests.docs.blocks import blocks
from tests.docs.error_list import ROOT
from tests.docs.readers import Reader, trained

FOLDER = ROOT / "docs" / "gallery"
TUTORIAL = ROOT / "docs" / "tutorial.md"
SESSIONS = {
    "session": ("ncf recommend --bundle model_store/ncf --user 196 -k 5 --shown 3",),
    "evaluate": ("ncf evaluate --checkpoint checkpoints/films --data data/films --protocol full",),
    "similar": (
        "ncf similar --bundle model_store/ncf --item 50 -k 4",
        "ncf recommend --bundle model_store/ncf --history 50,181,172 -k 4",
    ),
}
# What draws the training picture: if it has changed, the picture is to be made again.
_PLOT = ("ncf/training/plot.py", "ncf/training/matplotlib_import.py")
# And the page of a run: of made-up ratings, as MovieLens' may not be passed on.
_REPORT = ("ncf/pages/*.*", "batch/report*.py", "batch/published_report.py")
_COLUMNS = 92


def read_tutorial(folder: Path) -> None:
    """Do what the tutorial says, from its first block to its last."""
    fetched = ROOT / "data" / "raw"
    if fetched.is_dir():  # else the tutorial fetches it
        shutil.copytree(fetched, folder / "data" / "raw")
    reader = Reader(folder)
    try:
        for block in blocks(TUTORIAL):
            reader.run(block)
    finally:
        reader.close()


def typed(folder: Path, commands: tuple[str, ...]) -> str:
    """Type commands on a terminal; what it shows, with its colours."""
    return "".join(f"\x1b[1;32m$\x1b[0m {each}\n{_shown(folder, each)}" for each in commands)


def _shown(folder: Path, command: str) -> str:
    ours, theirs = pty.openpty()
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    terminal = {"COLUMNS": str(_COLUMNS), "TERM": "xterm-256color", "PATH": tools}
    with subprocess.Popen(
        command.split(),
        cwd=folder,
        env=os.environ | terminal,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(theirs)
        shown = bytearray()
        try:
            while chunk := os.read(ours, 65536):
                shown += chunk
        except OSError:  # Linux says so at the end
            pass
        os.close(ours)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return shown.decode().replace("\r\n", "\n")


def make_report(folder: Path) -> str:
    """Publish a table of made-up ratings after two others; the page that says what changed."""
    trained(folder)
    done("batch", "--bundle", "model_store/ncf", "--seen", "tonight.csv", "--refresh", cwd=folder)
    done("report", "--run", "topk", "--bundle", "model_store/ncf", cwd=folder)
    return (folder / "report.html").read_text(encoding="utf-8")


def shape(session: str) -> str:
    """What of a session is the same on any machine: all but numbers, ids and titles in tables."""
    plain = Text.from_ansi(session).plain
    cells = re.sub(r"(?m)^│.*│$", "│ row │", plain)
    ruled = re.sub(r"[━─┳┴┬┻╇┼]{2,}", "─", cells)
    return re.sub(r" {2,}", " ", re.sub(r"\d+(\.\d+)?", "0", ruled))


def digests() -> dict[str, str]:
    """SHA-256 of what makes the pictures of each kind."""
    sources = {
        "training.png": b"".join((ROOT / name).read_bytes() for name in _PLOT),
        "report.html": b"".join(
            path.read_bytes() for name in _REPORT for path in sorted(ROOT.glob(name))
        ),
        "*.svg": f"{inspect.getsource(_draw)}{_COLUMNS}{SESSIONS}".encode(),
    }
    return {name: hashlib.sha256(source).hexdigest() for name, source in sources.items()}


def _draw(session: str, name: str) -> str:
    """Draw a session as SVG, in fonts that the reader has: nothing is fetched."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(session.rstrip("\n")))
    drawn = console.export_svg(title="ncf", unique_id=name)
    without = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    return without.replace("Fira Code", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono")


def main() -> None:
    """Make all pictures anew."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        read_tutorial(folder)
        for name, commands in SESSIONS.items():
            session = typed(folder, commands)
            (FOLDER / f"{name}.svg").write_text(_draw(session, name), encoding="utf-8")
            (FOLDER / f"{name}.txt").write_text(Text.from_ansi(session).plain, encoding="utf-8")
        shutil.copyfile(folder / "checkpoints/films/training.png", FOLDER / "training.png")
    with tempfile.TemporaryDirectory() as made:
        (FOLDER / "report.html").write_text(make_report(Path(made)), encoding="utf-8")
    text = json.dumps(digests(), indent=1) + "\n"
    (FOLDER / "made.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
