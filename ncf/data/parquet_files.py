"""The files of a Parquet source: one, or the parts of a folder as Spark writes them."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from ncf.data.kinds import Kind, kind_at
from ncf.errors import RatingsError

_STRAYS = {"Thumbs.db", "desktop.ini", "lost+found"}
_MOST_ROOM = 1 << 27  # rows; a damaged file may claim any number


def part_files(folder: Path) -> list[Path]:
    """List the Parquet files of a folder, in order of their paths; of a file, itself.

    Names that begin with ``_`` or ``.`` are left out, as Spark and others do. Links to files and
    folders are followed, as caches keep them.

    Raises
    ------
    RatingsError
        Another file is among them, or there is none, or a link leads back to a folder above it.
    """
    if not folder.is_dir():
        return [folder]
    found = []
    for path in sorted(_below(folder, ())):
        if kind_at(path) is not Kind.PARQUET:
            raise RatingsError(
                "is not Parquet",
                where=path,
                remedy="give a folder of Parquet parts alone, or join the files into one",
            )
        found.append(path)
    if not found:
        raise RatingsError(
            "the folder holds no Parquet file",
            where=folder,
            remedy="give a file, or a folder of parts",
        )
    return found


def _below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """Yield the files below a folder, through links too, which ``rglob`` does not follow."""
    real = folder.resolve()
    if real in above:
        raise RatingsError(
            "is a link to a folder that it is in", where=folder, remedy="remove the link"
        )
    for path in folder.iterdir():
        if path.name.startswith(("_", ".")) or path.name in _STRAYS:
            continue
        if path.is_dir():
            yield from _below(path, (*above, real))
        else:
            yield path


def count_rows(path: Path) -> int:
    """Count the rows of a file or folder by what its files say, to make room; 0 if they do not."""
    try:
        rows = sum(int(pq.read_metadata(file).num_rows) for file in part_files(path))
    except Exception:  # noqa: BLE001 - a damaged file is named where it is read
        return 0
    return min(max(rows, 0), _MOST_ROOM)
