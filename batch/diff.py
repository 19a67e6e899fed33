"""Compare two runs: who gets a list, how much lists changed, and how they spread over items."""

from collections.abc import Callable
from contextlib import ExitStack
from heapq import nsmallest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from batch.buckets import ROWS_A_BUCKET, Buckets
from batch.codes import ItemCodes, coded_lists
from batch.matching import Matching
from batch.profile import Catalogue, Profile
from batch.reading import Source
from ncf.progress import report
from ncf.scoring.bundle import Bundle

_AT_ONCE = 1 << 22  # seen items counted in one go


def compare_runs(
    a: Source, b: Source, bundle: Bundle | None = None, top: int = 10
) -> dict[str, Any]:
    """Compare a run with an earlier one; every part is read once, and checked.

    Memory does not grow with the number of users: see :mod:`batch.buckets`.

    Parameters
    ----------
    a, b : Source
        The earlier and the later run.
    bundle : Bundle, optional
        Knows titles, the size of the catalogue and who has seen what.
    top : int
        Number of items and users to list.

    Returns
    -------
    dict
        Figures of ``a`` and ``b``, ``changes``, and what changed most.

    Raises
    ------
    ArtifactError
        A part is damaged or missing.
    StorageError
        The folder of temporary files is full.
    """
    items, profiles = ItemCodes(), (Profile(), Profile())
    matching = Matching(min(a.k, b.k), top)
    _read((a, b), items, profiles, matching)
    catalogue = catalogue_of(items, bundle)
    gained, lost = _moved(items, profiles, bundle, top)
    changed = matching.changed
    return {
        "a": profiles[0].figures(catalogue),
        "b": profiles[1].figures(catalogue),
        **matching.figures(),
        "gained": gained,
        "lost": lost,
        "most_changed": [] if changed is None else changed.to_dict("records"),
    }


def _read(
    runs: tuple[Source, Source],
    items: ItemCodes,
    profiles: tuple[Profile, Profile],
    matching: Matching,
) -> None:
    """Put the lists of both runs into buckets, then match them bucket by bucket."""
    count = max(1, *(-(-sum(run.rows.values()) // ROWS_A_BUCKET) for run in runs))
    parts = sum(len(run.rows) for run in runs)
    with ExitStack() as stack, report("compare", parts + count) as reporter:
        buckets = []
        for run, profile in zip(runs, profiles, strict=True):
            folder = stack.enter_context(TemporaryDirectory(prefix="ncf-diff-"))
            buckets.append(Buckets(Path(folder), count))
            with buckets[-1] as writing:
                profile_run(run, items, profile, writing.add, reporter.advance)
        for number in range(count):
            matching.add(*(each.read(number) for each in buckets))
            reporter.advance()


def profile_run(
    run: Source,
    items: ItemCodes,
    profile: Profile,
    each: Callable[[pa.Table], None],
    done: Callable[[], None],
) -> None:
    """Add all parts of a run to a profile, and hand their lists on."""
    for table in run.tables():
        lists = coded_lists(table, run.style, items)
        profile.add(lists, len(items))
        each(lists)
        done()


def catalogue_of(items: ItemCodes, bundle: Bundle | None) -> Catalogue:
    """Describe all items; without a bundle, those that were listed."""
    if bundle is None:
        return Catalogue(len(items))
    found = bundle.items.indices(items.raw)
    seen = np.zeros(bundle.n_items, np.int64)
    for start in range(0, bundle.seen.items.size, _AT_ONCE):
        some = bundle.seen.items[start : start + _AT_ONCE]
        seen += np.bincount(some, minlength=bundle.n_items)
    # An item that nobody has seen counts as one that a single user has.
    known = np.maximum(np.where(found < 0, 0, seen[found]), 1)
    unknown = int((found < 0).sum())
    return Catalogue(bundle.n_items + unknown, np.log2(bundle.n_users / known))


def _moved(
    items: ItemCodes, profiles: tuple[Profile, Profile], bundle: Bundle | None, top: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """List the items that are in more lists than before, and in fewer."""
    places = [np.pad(each.exposure, (0, len(items) - each.exposure.size)) for each in profiles]
    change, raw = places[1] - places[0], items.raw
    codes = range(len(raw))
    gained = nsmallest(top, codes, key=lambda code: (-change[code], raw[code]))
    lost = nsmallest(top, codes, key=lambda code: (change[code], raw[code]))

    def described(codes: list[int]) -> list[dict[str, Any]]:
        titles: list[str | None] = [None] * len(codes)
        if bundle is not None:
            found = bundle.items.indices([raw[code] for code in codes]).tolist()
            titles = [None if each < 0 else bundle.items.title(each) for each in found]
        return [
            {
                "item": raw[code],
                "title": title,
                "places_a": int(places[0][code]),
                "places_b": int(places[1][code]),
                "change": int(change[code]),
            }
            for code, title in zip(codes, titles, strict=True)
        ]

    return (
        described([code for code in gained if change[code] > 0]),
        described([code for code in lost if change[code] < 0]),
    )
