"""Prepare a ratings file: read, order, split, draw negatives, write."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ncf.artifacts import sealed_folder
from ncf.data.case_negatives import draw_negatives
from ncf.data.interactions import Interactions, latest_by_user
from ncf.data.manifests import DATA, Counts, DataManifest
from ncf.data.naming import Naming, ReadAs
from ncf.data.options import Format, Options, SplitKind
from ncf.data.origins import at_rest, digests_of, format_of
from ncf.data.prepared import figures_of, negatives_path, seal_data, write_interactions
from ncf.data.ratings import Ratings
from ncf.data.readers import read_ratings
from ncf.data.splits import Split, leave_one_out, one_of_each_user, random_split
from ncf.data.titles import Titles
from ncf.data.triple import Triple, read_triple, triple_paths
from ncf.errors import UsageError
from ncf.files import sha256
from ncf.identifiers import IdMap
from ncf.locks import writer_lock
from ncf.pairs import pair_keys

if TYPE_CHECKING:
    from ncf.data.frames import Frame

_PARTS = ("train", "validation", "test")


def prepare(
    ratings: "Path | Frame",
    file_format: Format,
    out: Path,
    options: Options,
    titles: Titles | None = None,
) -> dict[str, object]:
    """Prepare ratings for training and evaluation.

    Parameters
    ----------
    ratings : Path, DataFrame or pyarrow.Table
        Ratings file, the prefix of an NCF triple, or a frame.
    file_format : Format
        Format of a file; ignored for a frame.
    out : Path
        Folder to write; replaced as a whole.
    options : Options
        Split, negatives, seed.
    titles : dict, optional
        Title by raw item id.

    Returns
    -------
    dict
        Counts of rows read, left out and split, and the data's ``digest``.

    Raises
    ------
    RatingsError
        The ratings cannot be read as they are.
    UsageError
        Options do not fit the format.
    """
    rng = np.random.default_rng(options.seed)
    with writer_lock(out), sealed_folder(out, DATA) as folder:
        read = _read(ratings, file_format, options, rng)
        _write_parts(folder, read, options, rng)
        users, items = _id_maps(read.ratings, titles or {})
        manifest = DataManifest(
            source=read.source,
            format=read.ratings.reading.format.value if isinstance(ratings, Path) else "frame",
            options=options,
            counts=read.counts,
            n_users=len(users),
            n_items=len(items),
        )
        digest = seal_data(folder, users, items, manifest)
    return figures_of(manifest, digest)


class _Read(NamedTuple):
    """Ratings that were read and split."""

    ratings: Ratings
    split: Split
    counts: Counts
    source: dict[str, str]  # SHA-256 of each file by its name
    negatives: npt.NDArray[np.int32] | None  # of the test part, if the files have them


def _read(
    ratings: "Path | Frame", file_format: Format, options: Options, rng: np.random.Generator
) -> _Read:
    if isinstance(ratings, Path):
        return _read_file(ratings, format_of(ratings, file_format), options, rng)
    return _read_frame(ratings, options, rng)


def _read_frame(ratings: "Frame", options: Options, rng: np.random.Generator) -> _Read:
    from ncf.data.frames import read_frame  # noqa: PLC0415 - needs pandas, which files do not

    found = read_frame(ratings, min_rating=options.min_rating, naming=Naming(options.columns or {}))
    return _Read(found, *_split(found, options, rng), {"frame": found.sha256()}, None)


def _read_file(
    path: Path, file_format: Format, options: Options, rng: np.random.Generator
) -> _Read:
    if file_format is Format.NCF:
        return _read_triple(path, options, rng)
    with at_rest(path) as at:
        read_as = ReadAs(Naming(options.columns or {}), bool(options.keep_spaces), at)
        found = read_ratings(path, file_format, min_rating=options.min_rating, read_as=read_as)
        return _Read(found, *_split(found, options, rng), digests_of(path, at), None)


def _read_triple(prefix: Path, options: Options, rng: np.random.Generator) -> _Read:
    for name, given in (("min_rating", options.min_rating), ("columns", options.columns or None)):
        if given is not None:
            raise UsageError(f'`{name}` does not apply to `format="ncf"`', remedy="leave it out")
    triple = read_triple(prefix, keep_spaces=bool(options.keep_spaces))
    split, counts = _split_triple(triple, rng)
    source = {path.name: sha256(path) for path in triple_paths(prefix)}
    return _Read(triple.ratings, split, counts, source, triple.negatives)


def _split(ratings: Ratings, options: Options, rng: np.random.Generator) -> tuple[Split, Counts]:
    interactions, duplicates = latest_by_user(ratings)
    alone = None
    if options.split is SplitKind.RANDOM:
        split = random_split(interactions, options.test_ratio, rng)
    else:
        counts = np.bincount(interactions.users, minlength=interactions.n_users)
        alone = int(np.count_nonzero(counts == 1))
        split = leave_one_out(interactions, rng)
    return split, Counts(
        rows=len(ratings.users) + ratings.dropped,
        under_min_rating=ratings.dropped,
        duplicates=duplicates,
        order="file" if ratings.timestamps is None else "time",
        users_without_test_case=alone,
        **ratings.reading.counts(),
        **_sizes(split),
    )


def _split_triple(triple: Triple, rng: np.random.Generator) -> tuple[Split, Counts]:
    ratings, n_train = triple.ratings, triple.n_train
    times = None if ratings.timestamps is None else ratings.timestamps[:n_train]
    head = Ratings(ratings.users.slice(0, n_train), ratings.items.slice(0, n_train), times, 0)
    train, duplicates = latest_by_user(head)
    test = Interactions(
        ratings.users.indices.to_numpy()[n_train:],
        ratings.items.indices.to_numpy()[n_train:],
        train.n_users,
        train.n_items,
    )
    leaked = np.isin(_keys(train), _keys(test))
    train = train.take(~leaked)
    chosen = one_of_each_user(train, np.ones(len(train), np.bool_), rng)
    split = Split(train.take(~chosen), train.take(chosen), test)
    return split, Counts(
        rows=len(ratings.users),
        duplicates=duplicates,
        test_pairs_in_train=int(np.count_nonzero(leaked)),
        order="given",
        **ratings.reading.counts(),
        **_sizes(split),
    )


def _sizes(split: Split) -> dict[str, int]:
    return {part: len(getattr(split, part)) for part in _PARTS}


def _keys(interactions: Interactions) -> npt.NDArray[np.int64]:
    return pair_keys(interactions.users, interactions.items, interactions.n_items)


def _write_parts(folder: Path, read: _Read, options: Options, rng: np.random.Generator) -> None:
    """Write the pairs of each part, and the negatives of test cases."""
    draw_negatives(folder, read.split, "validation", options, rng)
    if read.negatives is None:
        draw_negatives(folder, read.split, "test", options, rng)
    else:
        np.save(negatives_path(folder, "test"), read.negatives)
    if not len(read.split.train):
        raise UsageError(
            "no training interaction is left", remedy="give more ratings, or a lower ratio"
        )
    for part in _PARTS:
        write_interactions(folder, part, getattr(read.split, part))


def _id_maps(ratings: Ratings, titles: Titles) -> tuple[IdMap, IdMap]:
    users = IdMap(ratings.users.dictionary.to_pylist())
    raw_items = ratings.items.dictionary.to_pylist()
    named = [titles.get(item) for item in raw_items] if titles else []
    return users, IdMap(raw_items, named)
