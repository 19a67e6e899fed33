"""Find the audience of a batch: its users, their excluded items, and the eligible items."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from batch.filters import Filters
from batch.manifest import FileCounts
from batch.pair_files import Indices
from batch.rows import AudienceRows, Exported, Histories
from batch.selection import Selection, read_selection
from ncf.policies import Policy
from ncf.scoring.bundle import Bundle
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.fold_in import FoldIn
from ncf.scoring.ranker import UserRows


@dataclass(frozen=True)
class Audience:
    """The users of a batch by position: trained ones by ascending index, then strangers.

    A stranger is a user of the bundle who has no training pair (the model would give them noise),
    or one whom it does not know; the indices of the latter follow those of the bundle. First come
    the strangers who are folded in, then those who get the popular items, each by ascending index.

    Parameters
    ----------
    bundle : Bundle
        The exported model.
    chosen : int64 array of shape (n,), or None
        Indices of the trained users, ascending; None means all of the bundle.
    folded, unranked : int64 arrays
        Indices of the strangers who are folded in, and of the others.
    unknown : sequence of str
        Raw ids of the strangers whom the bundle does not know, by index.
    eligibility : Eligibility
        Says what may be listed; excludes items seen before and after the export.
    rows : UserRows
        Rows by index, of the users who are ranked.
    counts : FileCounts
        Counts of what the files hold, for reports.
    selection : Selection
        What it was made of.
    """

    bundle: Bundle
    chosen: Indices | None
    folded: Indices
    unranked: Indices
    unknown: Sequence[str]
    eligibility: Eligibility
    rows: UserRows
    counts: FileCounts
    selection: Selection

    @property
    def n_trained(self) -> int:
        """Count of trained users."""
        return self.bundle.n_users if self.chosen is None else self.chosen.size

    @property
    def n_ranked(self) -> int:
        """Count of users whom the ranker ranks: trained ones, and strangers folded in."""
        return self.n_trained + self.folded.size

    def __len__(self) -> int:
        """Count of all users."""
        return self.n_ranked + self.unranked.size

    @cached_property
    def popular(self) -> npt.NDArray[np.int32]:
        """Eligible items, most popular first."""
        popular = self.bundle.popular
        return popular[self.eligibility.items[popular]]

    def ranked(self, start: int, stop: int) -> Indices:
        """List the indices of the ranked users at positions from ``start`` to ``stop``."""
        last = min(stop, self.n_trained)
        if self.chosen is None:
            trained = np.arange(start, max(start, last), dtype=np.int64)
        else:
            trained = self.chosen[start:last]
        first, last = (max(end - self.n_trained, 0) for end in (start, stop))
        return np.concatenate([trained, self.folded[first:last]])

    def others(self, start: int, stop: int) -> Indices:
        """List the indices of the users at these positions who get the popular items."""
        return self.unranked[max(start - self.n_ranked, 0) : max(stop - self.n_ranked, 0)]

    def policies(self, start: int, stop: int) -> list[Policy]:
        """List the policies of the users at these positions."""
        edges = np.array([0, self.n_trained, self.n_ranked, len(self)]).clip(start, stop)
        order = (Policy.MODEL, Policy.HISTORY, Policy.POPULAR)
        counts = zip(order, np.diff(edges).tolist(), strict=True)
        return [policy for policy, count in counts for _ in range(count)]

    def raw_ids(self, indices: Indices) -> list[str]:
        """Look up raw ids by index."""
        raw, n_users = self.bundle.users.raw, self.bundle.n_users
        # Those who are folded in come last, whatever their indices: the ends say nothing alone.
        if indices.size and indices[-1] < n_users and (np.diff(indices) == 1).all():
            return raw[int(indices[0]) : int(indices[-1]) + 1]
        return [raw[i] if i < n_users else self.unknown[i - n_users] for i in indices.tolist()]


def read_audience(bundle: Bundle, filters: Filters) -> Audience:
    """Read the files, and look up their ids in the bundle; see :func:`read_selection`."""
    return audience_of(bundle, read_selection(bundle, filters))


def audience_of(bundle: Bundle, selection: Selection) -> Audience:
    """Make the audience of what the files have selected, with rows for those who need them."""
    chosen, folded, refreshed = selection.chosen, selection.folded, selection.refreshed
    histories = Histories(Exported(bundle.seen), selection.since)
    rows: UserRows = bundle.user_rows
    if folded.size + refreshed.size and (fold_in := FoldIn.open(bundle)) is not None:
        rows = AudienceRows(bundle, fold_in, histories, folded, refreshed)
    strangers = folded.size + selection.unranked.size
    sources = [histories.before if strangers else bundle.seen, histories.since]
    if selection.refused is not None:
        sources.append(selection.refused)
    eligibility = Eligibility(selection.items, tuple(sources))
    parts = (chosen, folded, selection.unranked, selection.unknown)
    return Audience(bundle, *parts, eligibility, rows, selection.counts, selection)
