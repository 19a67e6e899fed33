"""Draw the negatives that evaluation cases are ranked against."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ncf.arrays import new_npy
from ncf.data.interactions import Interactions
from ncf.data.negatives import UnseenItems
from ncf.data.options import Exclude, Options, SplitKind
from ncf.data.prepared import negatives_path
from ncf.data.splits import Split
from ncf.progress import Reporter, report

_CASES_AT_ONCE = 1 << 14


def draw_negatives(
    folder: Path, split: Split, part: str, options: Options, rng: np.random.Generator
) -> None:
    """Write the sampled negatives of a part's cases.

    Parameters
    ----------
    folder : Path
        Folder of the prepared data.
    split : Split
        All parts: a negative is never one of the user's items.
    part : {"validation", "test"}
        The part whose cases get negatives.
    options : Options
        How many, and which items are never drawn.
    rng : numpy.random.Generator
        Draws the items.
    """
    cases: Interactions = getattr(split, part)
    shape = (len(cases), min(options.negatives, cases.n_items))
    path = negatives_path(folder, part)
    if not len(cases):
        np.save(path, np.empty(shape, np.int32))
        return
    out = new_npy(path, np.int32, shape)
    with report(f"draw {part} negatives", len(cases)) as progress:
        if options.negatives_exclude is Exclude.ALL:
            seen = split.train.join(split.validation)
            # At the moment of a time split nobody knows which items the user will take later.
            if not (part == "validation" and options.split is SplitKind.TIME):
                seen = seen.join(split.test)
            _fill(out, cases, UnseenItems(seen.csr()), rng, progress)
        else:
            _fill_looser(out, cases, split.train.join(split.validation).csr(), rng, progress)
    out.flush()


def _fill(
    out: npt.NDArray[np.int32],
    cases: Interactions,
    unseen: UnseenItems,
    rng: np.random.Generator,
    progress: Reporter,
) -> None:
    for start in range(0, len(cases), _CASES_AT_ONCE):
        users = cases.users[start : start + _CASES_AT_ONCE]
        out[start : start + users.size] = unseen.draw_distinct(users, out.shape[1], rng)
        progress.advance(users.size)


def _fill_looser(
    out: npt.NDArray[np.int32],
    cases: Interactions,
    seen: sparse.csr_array,
    rng: np.random.Generator,
    progress: Reporter,
) -> None:
    # Excluded are the user's training items and the case's own positive, so each case has a set.
    for start in range(0, len(cases), _CASES_AT_ONCE):
        users = cases.users[start : start + _CASES_AT_ONCE]
        items = cases.items[start : start + users.size]
        rows = np.arange(users.size)
        ones = np.ones(users.size, np.int8)
        own = sparse.csr_array((ones, (rows, items)), shape=(users.size, seen.shape[1]))
        both = sparse.csr_array(seen[users] + own)
        both.sort_indices()
        out[start : start + users.size] = UnseenItems(both).draw_distinct(rows, out.shape[1], rng)
        progress.advance(users.size)
