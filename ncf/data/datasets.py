"""Fetch public data sets once, from pinned sources, and open fetched ones."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ncf.artifacts import open_sealed, seal, sealed_folder
from ncf.data.downloads import GitBlob, Sha256
from ncf.data.manifests import DATASET, DatasetManifest
from ncf.data.options import Format
from ncf.data.sources import (
    TITLES_FILE,
    Members,
    Source,
    TripleSource,
    WheelSource,
    ZipSource,
)
from ncf.data.titles import grouplens_titles, recbole_titles
from ncf.errors import ArtifactError, NcfError, SourceError, UnreachableError, UsageError
from ncf.files import sweep_beside
from ncf.locks import writer_lock
from ncf.records import json_values

_GROUPLENS = "https://files.grouplens.org/datasets/movielens/"
_NCF = "https://raw.githubusercontent.com/hexiangnan/neural_collaborative_filtering/master/Data/"


@dataclass(frozen=True)
class FetchedDataset:
    """A public data set on this machine.

    Parameters
    ----------
    name : str
        Name, such as ``"ml-100k"``.
    ratings : Path
        Ratings file, or prefix of the triple.
    file_format : Format
        Format of the ratings file.
    titles : Path or None
        CSV of titles.
    source : str
        Name of the source.
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
        sweep_beside(folder)
        try:
            open_sealed(folder, DATASET)
        except ArtifactError:
            _fetch_first(name, datasets[name], folder)
        # The folder is complete, so leftovers of an earlier fetch are of no use.
        shutil.rmtree(_parts(folder), ignore_errors=True)
    return folder


def open_dataset(folder: Path) -> FetchedDataset:
    """Open a fetched data set; every digest is checked."""
    manifest = open_sealed(folder, DATASET)
    titles = folder / TITLES_FILE
    if Path(manifest.ratings).name != manifest.ratings:
        raise ArtifactError("the manifest names ratings outside the folder", where=folder)
    return FetchedDataset(
        name=manifest.name,
        ratings=folder / manifest.ratings,
        file_format=manifest.format,
        titles=titles if titles.exists() else None,
        source=manifest.source,
    )


def _fetch_first(name: str, sources: tuple[Source, ...], target: Path) -> None:
    failures: list[NcfError] = []
    parts = _parts(target)
    for source in sources:
        try:
            with sealed_folder(target, DATASET) as folder:
                ratings, file_format = source.fetch(folder, parts)
                manifest = DatasetManifest(
                    name=name, source=source.name, format=file_format, ratings=ratings
                )
                seal(folder, DATASET, json_values(manifest))
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
    """Path of the folder of unfinished downloads."""
    return target.with_name(f"{target.name}.parts")
