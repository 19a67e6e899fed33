"""Lists that a batch takes over from an earlier run, in one file beside its plan."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from batch.places import Place
from batch.plans import CARRIED_FILE, Plan
from batch.receipts import instruction_set
from ncf.arrays import map_npz
from ncf.files import sha256
from ncf.pairs import among
from ncf.scoring.ranker import TopK, Users

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Carried:
    """Lists of ranked users who need not be ranked again.

    Parameters
    ----------
    users : int64 array of shape (n,)
        Their indices, ascending.
    items : int32 array of shape (n, width)
        Item indices, best first.
    scores : float32 array of shape (n, width)
        Logits; minus infinity marks entries that do not count.
    """

    users: Users
    items: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]

    def content(self) -> bytes:
        """Write it; equal lists give equal bytes."""
        content = BytesIO()
        np.savez(
            content, allow_pickle=False, users=self.users, items=self.items, scores=self.scores
        )
        return content.getvalue()

    def completed(self, users: Users, rank: Callable[[Users], TopK]) -> TopK:
        """Give the lists of some users: of those who are not here, as ``rank`` finds them.

        Examples
        --------
        >>> carried = Carried(np.array([4]), np.array([[7]], np.int32), np.array([[0.5]]))
        >>> others = lambda users: TopK(np.array([[1]]), np.array([[2.0]]))
        >>> carried.completed(np.array([3, 4]), others).items.tolist()
        [[1], [7]]
        """
        known = among(users, self.users)
        at = np.searchsorted(self.users, users[known])
        ranked = rank(users[~known])
        items = np.empty((users.size, ranked.items.shape[1]), np.int64)
        scores = np.empty(items.shape, np.float32)
        items[known], scores[known] = self.items[at], self.scores[at]
        items[~known], scores[~known] = ranked.items, ranked.scores
        return TopK(items, scores)


def open_carried(place: Place, plan: Plan) -> Carried | None:
    """Open the lists that a plan takes over; None if there are none that this machine would make.

    Another kind of processor may round scores differently, so it ranks all users of its parts.
    """
    if plan.since is None or not plan.carried:
        return None
    if plan.since.instruction_set != instruction_set():
        logger.warning("another kind of processor than run %s had: ranking all", plan.since.run)
        return None
    try:
        with place.local(CARRIED_FILE) as path:
            if sha256(path) == plan.carried:
                return Carried(**map_npz(path))
    except FileNotFoundError:
        pass
    logger.warning("the lists to take over are not those of the plan: ranking all users")
    return None


def next_try(plan: Plan, **changes: Any) -> Plan:  # noqa: ANN401 - fields of a plan
    """Make the next try of a plan, which takes no screened list over if it ranks exactly."""
    further = replace(plan, **changes)
    if further.since is None or further.rounds:
        return further
    ranked = further.since.users_taken + further.since.users_ranked
    reason = further.since.reason or "the screen did not prove its recall"
    since = replace(further.since, users_taken=0, users_ranked=ranked, reason=reason)
    return replace(further, since=since, carried="")
