"""Compare the lists of the users that two runs have in common, some users at a time."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batch.codes import POLICIES, padded
from batch.spread import Spread
from ncf.evaluation.rank_biased import agreement, places
from ncf.policies import Policy

_POPULAR = POLICIES.index(Policy.POPULAR)
_LISTS = ("items_a", "items_b")
_CHANGED = ["rank_biased_overlap", "overlap", "user"]  # in this order the most changed come first


@dataclass
class Matching:
    """Sums over the users of two runs, a and b.

    Parameters
    ----------
    k : int
        Places of each list that are compared.
    top : int
        Number of most changed users to keep.
    users : dict
        Counts of users: kept, added, gone, with the same list, moved to and from popular.
    overlap, rank_biased : Spread
        Agreement of the users in both.
    shift : float64 array
        Count, sum and sum of magnitudes of score changes, over pairs that are listed in both.
    changed : DataFrame
        The most changed users.
    """

    k: int
    top: int
    users: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("kept", "added", "gone", "same_list", "to_popular", "from_popular"), 0
        )
    )
    overlap: Spread = field(default_factory=Spread)
    rank_biased: Spread = field(default_factory=Spread)
    shift: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    changed: pd.DataFrame | None = None

    def add(self, a: pa.Table | None, b: pa.Table | None) -> None:
        """Add the lists of some users in both runs: every user is in one call alone."""
        if a is None or b is None:
            self.users["added"] += 0 if b is None else b.num_rows
            self.users["gone"] += 0 if a is None else a.num_rows
            return
        found = pc.index_in(b["user"], a["user"].combine_chunks())
        kept = found.is_valid()
        self.users["added"] += b.num_rows - (common := pc.sum(kept).as_py() or 0)
        self.users["gone"] += a.num_rows - common
        self.users["kept"] += common
        if common:
            self._add_common(a.take(found.drop_null()), b.filter(kept))

    def most_changed(self) -> list[dict[str, Any]]:
        """List the users whose lists changed most, these first."""
        if self.changed is None:
            return []
        rows = self.changed.drop(columns=list(_LISTS)).to_dict("records")
        return [{str(name): value for name, value in row.items()} for row in rows]

    def changed_lists(self) -> list[dict[str, Any]]:
        """List the same users with the codes of their items: ``items_a`` and ``items_b``."""
        return [] if self.changed is None else self.changed.to_dict("records")  # type: ignore[return-value]

    def figures(self) -> dict[str, object]:
        """Give the figures."""
        count, total, size = self.shift.tolist()
        return {
            "k": self.k,
            "changes": dict(self.users),
            "overlap": self.overlap.figures(),
            "rank_biased_overlap": self.rank_biased.figures(),
            "score_shift": {
                "pairs": int(count),
                "mean": total / count if count else None,
                "mean_absolute": size / count if count else None,
            },
        }

    def _add_common(self, a: pa.Table, b: pa.Table) -> None:
        one, other = (padded(run["items"], self.k, pad=-1).astype(np.int64) for run in (a, b))
        overlap, rank_biased = agreement(one, other)
        self.overlap.add(overlap)
        self.rank_biased.add(rank_biased)
        before, after = (run["policy"].to_numpy() for run in (a, b))
        self.users["same_list"] += int((one == other).all(axis=1).sum())
        self.users["to_popular"] += int(((before != _POPULAR) & (after == _POPULAR)).sum())
        self.users["from_popular"] += int(((before == _POPULAR) & (after != _POPULAR)).sum())
        self._shift(a, b, places(one, other))
        self._change(b["user"], (overlap, rank_biased), (before, after), (one, other))

    def _shift(self, a: pa.Table, b: pa.Table, at: npt.NDArray[np.int64]) -> None:
        old, new = (padded(run["scores"], self.k, pad=np.nan).astype(np.float64) for run in (a, b))
        rows, columns = np.nonzero(at < self.k)
        moved = new[rows, at[rows, columns]] - old[rows, columns]
        moved = moved[np.isfinite(moved)]
        self.shift += (moved.size, moved.sum(), np.abs(moved).sum())

    def _change(
        self,
        users: pa.ChunkedArray,
        agreements: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
        policies: tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]],
        lists: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    ) -> None:
        if not self.top:
            return
        overlap, rank_biased = agreements
        last = np.sort(rank_biased)[min(self.top, rank_biased.size) - 1]
        some = np.flatnonzero((rank_biased <= last) & (rank_biased < 1))
        names = np.array(POLICIES, object)
        found = pd.DataFrame(
            {
                "user": users.take(pa.array(some)).to_pylist(),
                "overlap": overlap[some],
                "rank_biased_overlap": rank_biased[some],
                "policy_a": names[policies[0][some]],
                "policy_b": names[policies[1][some]],
                "at": some,
            }
        )
        found = found.sort_values(_CHANGED).head(self.top)  # of ties there may be very many
        at = found.pop("at").to_numpy()
        for name, each in zip(_LISTS, lists, strict=True):
            found[name] = list(each[at])
        both = found if self.changed is None else pd.concat([self.changed, found])
        self.changed = both.sort_values(_CHANGED, ignore_index=True).head(self.top)
