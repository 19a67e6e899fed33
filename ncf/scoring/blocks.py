"""Rank a block of users with one call of a graph; exact and screened ranking share this."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor
from copy import copy
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from ncf.devices import Device
from ncf.errors import ArtifactError
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.onnx_runtime import ort
from ncf.scoring.ranker import Pairs, TopK, UserRows, Users
from ncf.scoring.sessions import GpuMemoryError, device_of, failed_on_cuda

logger = logging.getLogger(__name__)

_MOST_USERS = 1 << 20  # in one call, until a GPU turns out to have memory for fewer
Feeds = dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]]


class BlockRanker(ABC):
    """A :class:`ncf.scoring.ranker.Ranker` that runs a top-K graph in ONNX Runtime.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        Session of the graph.
    rows : UserRows
        One row a user, as the graph takes them: float32 ``(users, d)``, maybe a memory map.
    eligibility : Eligibility
        Says what may be listed; its items are the graph's catalogue.
    where : Path, optional
        Origin of the graph, for messages.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        rows: UserRows,
        eligibility: Eligibility,
        where: Path | None = None,
    ) -> None:
        self._session = session
        self._rows = rows
        self._where = where
        self.eligibility = eligibility
        self.device = device_of(session)
        self._most = _MOST_USERS
        self._outputs = ["item", "logit"]
        # The mask stays on the device; the other inputs change with every call.
        self._mask = ort.OrtValue.ortvalue_from_numpy(eligibility.mask(), self.device.value, 0)

    def over(self, rows: UserRows) -> Self:
        """Make a ranker on the same session with other rows."""
        other = copy(self)
        other._rows = rows
        return other

    def rank(
        self,
        users: Users,
        k: int,
        pool: Executor | None = None,
        started: Callable[[int], None] | None = None,
    ) -> TopK:
        """Rank the items that each user may get: see :class:`Ranker`."""
        self._check(users)
        step = self.users_at_once(k)
        blocks = [users[start : start + step] for start in range(0, users.size, step)]

        def rank_block(block: Users) -> TopK:
            if started is not None:
                started(block.size)
            return self._rank_or_halve(block, self.eligibility.excluded(block), k)

        return joined(list((pool.map if pool else map)(rank_block, blocks)) or [self._nobody(k)])

    def _rank_or_halve(self, users: Users, excluded: Pairs, k: int) -> TopK:
        """Rank a block; if the GPU lacks memory, halve it, and keep blocks small from then on."""
        try:
            return self.rank_excluding(users, excluded, k)
        except GpuMemoryError:
            if users.size == 1:
                raise
        half = users.size // 2
        if half < self._most:
            self._most = half
            logger.warning("the GPU has too little memory: continuing with %d users a call", half)
        later = excluded[:, 0] >= half
        second = excluded[later] - np.array([half, 0])
        return joined(
            [
                self._rank_or_halve(users[:half], excluded[~later], k),
                self._rank_or_halve(users[half:], second, k),
            ]
        )

    def rank_excluding(self, users: Users, excluded: Pairs, k: int) -> TopK:
        """Rank all items except given ones, in one call: see :class:`Ranker`."""
        self._check(users)
        if not users.size:
            return self._nobody(k)
        return self.rank_rows(self._rows[users], excluded, k)

    def rank_rows(self, rows: npt.NDArray[np.float32], excluded: Pairs, k: int) -> TopK:
        """Rank for given rows, in one call: see :class:`Ranker`."""
        if not len(rows):  # ONNX Runtime raises an error for a loop over no user
            return self._nobody(k)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("mask", self._mask)
        for name, array in self._feeds(rows, excluded, k).items():
            binding.bind_cpu_input(name, array)
        for name in self._outputs:
            binding.bind_output(name)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # ONNX Runtime's errors share no class of their own
            if self.device is not Device.CUDA:
                raise
            raise failed_on_cuda(error, len(rows)) from error
        items, scores, *rest = binding.copy_outputs_to_cpu()
        if np.isnan(scores).any():
            raise ArtifactError("the model scores NaN", where=self._where)
        return self._checked(TopK(items, scores), rest, rows, excluded)

    def users_at_once(self, k: int) -> int:
        """Count the users of one call for lists of K; there are fewer once GPU memory ran out."""
        return min(self._users_at_once(k), self._most)

    def _checked(
        self,
        found: TopK,
        rest: list[npt.NDArray[np.float32]],  # noqa: ARG002 - of graphs with more outputs
        rows: npt.NDArray[np.float32],  # noqa: ARG002
        excluded: Pairs,  # noqa: ARG002
    ) -> TopK:
        """Improve lists by what else the graph says."""
        return found

    @abstractmethod
    def _users_at_once(self, k: int) -> int:
        """Count the users of one call for lists of K."""

    def _feeds(self, rows: npt.NDArray[np.float32], excluded: Pairs, k: int) -> Feeds:
        return {
            "rows": np.ascontiguousarray(rows),
            "seen": excluded,
            "k": np.array([min(k, self.eligibility.n_items)], np.int64),
        }

    def _nobody(self, k: int) -> TopK:
        shape = (0, min(k, self.eligibility.n_items))
        return TopK(np.empty(shape, np.int64), np.empty(shape, np.float32))

    def _check(self, users: Users) -> None:
        # The graph does not check users, and NumPy would take -1 for the last row.
        n_users = len(self._rows)
        if users.size and not (users.min() >= 0 and users.max() < n_users):
            raise IndexError(f"user index outside [0, {n_users})")


def joined(parts: list[TopK]) -> TopK:
    """Join the lists of blocks of users."""
    items, scores = ([getattr(part, name) for part in parts] for name in ("items", "scores"))
    return TopK(np.concatenate(items), np.concatenate(scores))
