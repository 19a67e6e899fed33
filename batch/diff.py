"""Compare two runs: who gets a list, how much lists changed, and how they spread over items."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from batch.buckets import Buckets, bucket_count
from batch.codes import ItemCodes, coded_lists
from batch.matching import Matching
from batch.profile import Catalogue, Profile
from batch.reading import Source
from batch.sample import Sample
from ncf.progress import report
from ncf.scoring.bundle import Bundle

_AT_ONCE = 1 << 22  # seen items counted in one go


@dataclass(frozen=True)
class Look:
    """What was found out about a run, and about what changed since an earlier one.

    Parameters
    ----------
    items : ItemCodes
        Codes of the items that are listed.
    catalogue : Catalogue
        What is known of all items.
    bundle : Bundle or None
        Knows titles.
    profiles : tuple of Profile
        Of the earlier run, if there is one, and of the run.
    samples : tuple of Sample
        Lists of some users, in the same order.
    matching : Matching or None
        The users of both; None without an earlier run.
    """

    items: ItemCodes
    catalogue: Catalogue
    bundle: Bundle | None
    profiles: tuple[Profile, ...]
    samples: tuple[Sample, ...]
    matching: Matching | None = None

    def figures(self) -> list[dict[str, Any]]:
        """Give the figures of each table, the run's last."""
        return [each.figures(self.catalogue) for each in self.profiles]

    def moved(self, top: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """List the items that are in more lists than before, and in fewer."""
        size = len(self.items)
        places = [np.pad(each.exposure, (0, size - each.exposure.size)) for each in self.profiles]
        change, raw = places[-1] - places[0], self.items.raw
        codes = range(size)
        gained = nsmallest(top, codes, key=lambda code: (-change[code], raw[code]))
        lost = nsmallest(top, codes, key=lambda code: (change[code], raw[code]))

        def described(codes: list[int]) -> list[dict[str, Any]]:
            titles = self.titles([raw[code] for code in codes])
            return [
                {
                    "item": raw[code],
                    "title": title,
                    "places_a": int(places[0][code]),
                    "places_b": int(places[-1][code]),
                    "change": int(change[code]),
                }
                for code, title in zip(codes, titles, strict=True)
            ]

        return (
            described([code for code in gained if change[code] > 0]),
            described([code for code in lost if change[code] < 0]),
        )

    def titles(self, raw: list[str]) -> list[str | None]:
        """Look up titles of items."""
        if self.bundle is None:
            return [None] * len(raw)
        found = self.bundle.items.indices(raw).tolist()
        return [None if each < 0 else self.bundle.items.title(each) for each in found]


def compare_runs(
    a: Source, b: Source, bundle: Bundle | None = None, top: int = 10
) -> dict[str, Any]:
    """Compare a run with an earlier one.

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
    look = look_at(b, a, bundle, top)
    one, other = look.figures()
    gained, lost = look.moved(top)
    found = {} if look.matching is None else look.matching.figures()
    changed = [] if look.matching is None else look.matching.most_changed()
    return {"a": one, "b": other, **found, "gained": gained, "lost": lost, "most_changed": changed}


def look_at(
    run: Source,
    before: Source | None,
    bundle: Bundle | None = None,
    top: int = 0,
    sampled: int = 0,
) -> Look:
    """Read a run, and an earlier one to compare it with; every part is read once, and checked.

    Memory does not grow with the number of users: see :mod:`batch.buckets`.

    Parameters
    ----------
    run, before : Source
        The run, and the earlier one if there is one.
    bundle : Bundle, optional
        Knows titles, the size of the catalogue and who has seen what.
    top : int
        Number of most changed users to keep.
    sampled : int
        Number of users whose lists are kept.

    Raises
    ------
    ArtifactError
        A part is damaged or missing.
    StorageError
        The folder of temporary files is full.
    """
    runs = (run,) if before is None else (before, run)
    items, profiles = ItemCodes(), tuple(Profile() for _ in runs)
    last = Sample(sampled)
    samples = (last,) if before is None else (Sample(sampled, last), last)
    matching = None if before is None else Matching(min(each.k for each in runs), top)
    _read(runs, items, profiles, samples, matching)
    return Look(items, catalogue_of(items, bundle), bundle, profiles, samples, matching)


def _read(
    runs: tuple[Source, ...],
    items: ItemCodes,
    profiles: tuple[Profile, ...],
    samples: tuple[Sample, ...],
    matching: Matching | None,
) -> None:
    """Add all parts of the runs; to match them, put the lists into buckets first."""
    count = bucket_count(sum(run.rows.values()) for run in runs)
    parts = sum(len(run.rows) for run in runs)
    with ExitStack() as stack, report("compare", parts + count * (len(runs) - 1)) as reporter:
        buckets: list[Buckets] = []
        # The last one first: of the others, the same users are sampled.
        for run, profile, sample in reversed(list(zip(runs, profiles, samples, strict=True))):
            if matching is None:
                _add(run, items, (profile, sample), lambda _: None, reporter.advance)
                continue
            folder = stack.enter_context(TemporaryDirectory(prefix="ncf-diff-"))
            buckets.insert(0, Buckets(Path(folder), count))
            with buckets[0] as writing:
                _add(run, items, (profile, sample), writing.add, reporter.advance)
        if matching is not None:
            for number in range(count):
                matching.add(*(each.read(number) for each in buckets))
                reporter.advance()


def _add(
    run: Source,
    items: ItemCodes,
    sums: tuple[Profile, Sample],
    each: Callable[[pa.Table], None],
    done: Callable[[], None],
) -> None:
    profile, sample = sums
    for table in run.tables():
        lists = coded_lists(table, run.style, items)
        profile.add(lists, len(items))
        sample.add(lists)
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
