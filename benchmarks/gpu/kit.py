"""Pack what ``benchmarks.cuda`` needs into one file, for a machine with PyTorch and NumPy alone.

    python -m benchmarks.gpu.kit --out cuda-kit.zip

It holds our code, the pure-Python packages that the code and its tests import, and exported
models. Nothing in it is compiled, so that it runs on any Python from 3.11 to 3.13.
"""

import argparse
import importlib.metadata
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.worlds import make

PURE = (
    *("iniconfig", "markdown-it-py", "mdurl", "packaging", "pluggy", "pygments", "pytest"),
    *("python-json-logger", "rich", "filelock", "typing-extensions"),
)
"""Packages of pure Python; of the compiled ones, what is there is used, and the rest is skipped."""

CODE = ("ncf", "export", "handlers", "batch", "benchmarks", "tests/cuda", "tests/__init__.py")
LARGEST = 50 << 20
_ROOT = Path(__file__).parents[2]


def main() -> None:
    """Make the kit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("cuda-kit.zip"))
    parser.add_argument("--worlds", type=Path, default=_ROOT / "worlds")
    parser.add_argument("--checkpoint", type=Path, help="a trained model to score with")
    parser.add_argument("--data", type=Path, help="what it was trained on")
    parser.add_argument("--small", action="store_true", help="small models, for a rehearsal")
    arguments = parser.parse_args()
    make(
        arguments.worlds,
        small=arguments.small,
        checkpoint=arguments.checkpoint,
        data=arguments.data,
    )
    pack(arguments.out, arguments.worlds)
    size = arguments.out.stat().st_size
    print(f"{arguments.out}: {size / (1 << 20):.1f} MiB")
    if size > LARGEST:
        sys.exit(f"larger than {LARGEST >> 20} MiB")


def pack(out: Path, worlds: Path) -> None:
    """Write the kit: everything under ``cuda-kit/``."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as kit:
        for path in _code():
            kit.write(path, Path("cuda-kit", path.relative_to(_ROOT)))
        for name in PURE:
            for source, place in _files_of(name):
                kit.write(source, Path("cuda-kit", "needs", place))
        own = importlib.metadata.distribution("ncf")  # what we call ourselves in manifests
        metadata = f"Metadata-Version: 2.4\nName: ncf\nVersion: {own.version}\n"
        kit.writestr(f"cuda-kit/needs/ncf-{own.version}.dist-info/METADATA", metadata)
        for path in sorted(worlds.rglob("*")):
            if path.is_file():
                kit.write(path, Path("cuda-kit", "worlds", path.relative_to(worlds)))


def _code() -> Iterator[Path]:
    """Name our own files: what git knows, or all where there is no git."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", *CODE],  # noqa: S607 - whichever git is here
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    yield from (_ROOT / name for name in listed.stdout.splitlines())


def _files_of(name: str) -> Iterator[tuple[Path, Path]]:
    """Files of an installed package, and the place of each under ``site-packages``."""
    package = importlib.metadata.distribution(name)
    for file in package.files or ():
        if ".." in file.parts or file.suffix in {".pyc", ".so"}:
            continue
        source = Path(str(file.locate()))
        if source.is_file():
            yield source, Path(file)


if __name__ == "__main__":
    main()
