"""Prepare a ratings file: read, order, split, draw negatives, write."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ncf.artifacts import sealed_folder
from ncf.columns import Columns, usual_column
from ncf.data.case_negatives import draw_negatives
from ncf.data.counted_splits import split_ratings, split_triple
from ncf.data.given import GivenParts, join_parts
from ncf.data.manifests import DATA, Counts, DataManifest
from ncf.data.naming import Naming, ReadAs
from ncf.data.options import Format, Options, SplitKind
from ncf.data.origins import at_rest, digests_of, format_of
from ncf.data.parts import PARTS
from ncf.data.prepared import figures_of, negatives_path, seal_data, write_interactions
from ncf.data.ratings import Ratings
from ncf.data.readers import read_ratings
from ncf.data.splits import Split
from ncf.data.titles import Titles
from ncf.data.triple import read_triple, triple_paths
from ncf.errors import UsageError
from ncf.files import sha256
from ncf.identifiers import IdMap
from ncf.locks import writer_lock

if TYPE_CHECKING:
    from ncf.data.frames import Frame

logger = logging.getLogger(__name__)


def prepare(
    ratings: "Path | Frame | GivenParts",
    file_format: Format,
    out: Path,
    options: Options,
    titles: Titles | None = None,
) -> dict[str, object]:
    """Prepare ratings for training and evaluation.

    Parameters
    ----------
    ratings : Path, DataFrame, pyarrow.Table or GivenParts
        Ratings file, the prefix of an NCF triple, a frame, or the parts of a given split.
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
            format="frame" if "frame" in read.source else read.ratings.reading.format.value,
            options=options,
            counts=read.counts,
            n_users=len(users),
            n_items=len(items),
        )
        digest = seal_data(folder, users, items, manifest)
    _warn(manifest, read.ratings.reading.ignored)
    return figures_of(manifest, digest)


class _Read(NamedTuple):
    """Ratings that were read and split."""

    ratings: Ratings
    split: Split
    counts: Counts
    source: dict[str, str]  # SHA-256 of each file by its name
    negatives: npt.NDArray[np.int32] | None  # of the test part, if the files have them


def _read(
    ratings: "Path | Frame | GivenParts",
    file_format: Format,
    options: Options,
    rng: np.random.Generator,
) -> _Read:
    if isinstance(ratings, GivenParts):
        return _read_parts(ratings, file_format, options, rng)
    if isinstance(ratings, Path):
        return _read_file(ratings, format_of(ratings, file_format), options, rng)
    found = _rows_of_frame(ratings, options, _naming(options))
    return _Read(found, *split_ratings(found, options, rng), {"frame": found.sha256()}, None)


def _naming(options: Options) -> Naming:
    return Naming(options.columns or {}, parts=options.split is SplitKind.GIVEN)


def _rows_of_frame(ratings: "Frame", options: Options, naming: Naming) -> Ratings:
    from ncf.data.frames import read_frame  # noqa: PLC0415 - needs pandas, which files do not

    return read_frame(ratings, min_rating=options.min_rating, naming=naming)


def _read_parts(
    given: GivenParts, file_format: Format, options: Options, rng: np.random.Generator
) -> _Read:
    """Read the parts of a given split, each from a file or a frame of its own."""
    naming, found, source = Naming(options.columns or {}), dict[str, Ratings](), dict[str, str]()
    for name, part in given.by_name().items():
        if not isinstance(part, Path):
            found[name] = _rows_of_frame(part, options, naming)
            source["frame"] = join_parts(found).sha256()
            continue
        kind = format_of(part, file_format)
        with at_rest(part) as at:
            read_as = ReadAs(naming, bool(options.keep_spaces), at)
            found[name] = read_ratings(part, kind, min_rating=options.min_rating, read_as=read_as)
            source |= {f"{name}: {each}": sha for each, sha in digests_of(part, at).items()}
    ratings = join_parts(found)
    return _Read(ratings, *split_ratings(ratings, options, rng), source, None)


def _read_file(
    path: Path, file_format: Format, options: Options, rng: np.random.Generator
) -> _Read:
    if file_format is Format.NCF:
        return _read_triple(path, options, rng)
    with at_rest(path) as at:
        read_as = ReadAs(_naming(options), bool(options.keep_spaces), at)
        found = read_ratings(path, file_format, min_rating=options.min_rating, read_as=read_as)
        return _Read(found, *split_ratings(found, options, rng), digests_of(path, at), None)


def _read_triple(prefix: Path, options: Options, rng: np.random.Generator) -> _Read:
    for name, given in (("min_rating", options.min_rating), ("columns", options.columns or None)):
        if given is not None:
            raise UsageError(f'`{name}` does not apply to `format="ncf"`', remedy="leave it out")
    triple = read_triple(prefix, keep_spaces=bool(options.keep_spaces))
    split, counts = split_triple(triple, rng)
    source = {path.name: sha256(path) for path in triple_paths(prefix)}
    return _Read(triple.ratings, split, counts, source, triple.negatives)


def _warn(manifest: DataManifest, ignored: tuple[str, ...]) -> None:
    """Say what a reader of the figures has to know."""
    counts = manifest.counts
    users, items = counts.users_without_training_pair, counts.items_without_training_pair
    if users or items:
        logger.warning(
            "%s users and %s items have all of their interactions in the validation and test "
            "parts. That is no fault: the figures count them as unknown, and what is exported "
            "learns them",
            f"{users or 0:,}",
            f"{items or 0:,}",
        )
    if any(usual_column(name) == Columns.PART for name in ignored):
        logger.warning(
            'a column names parts, and is not read: `split="given"` splits by it (train, '
            "validation, test)"
        )


def _write_parts(folder: Path, read: _Read, options: Options, rng: np.random.Generator) -> None:
    """Write the pairs of each part, and the negatives of test cases."""
    draw_negatives(folder, read.split, "validation", options, rng)
    if options.split is SplitKind.GIVEN:
        np.save(negatives_path(folder, "test"), np.empty((len(read.split.test), 0), np.int32))
    elif read.negatives is None:
        draw_negatives(folder, read.split, "test", options, rng)
    else:
        np.save(negatives_path(folder, "test"), read.negatives)
    if not len(read.split.train):
        raise UsageError(
            "no training interaction is left", remedy="give more ratings, or a lower ratio"
        )
    for part in PARTS:
        write_interactions(folder, part, getattr(read.split, part))


def _id_maps(ratings: Ratings, titles: Titles) -> tuple[IdMap, IdMap]:
    users = IdMap(ratings.users.dictionary.to_pylist())
    raw_items = ratings.items.dictionary.to_pylist()
    named = [titles.get(item) for item in raw_items] if titles else []
    return users, IdMap(raw_items, named)
