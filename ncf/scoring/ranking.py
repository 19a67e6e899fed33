"""Top-K of users over the whole catalogue, unwanted items masked, by the exact graph."""

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ncf.devices import Device
from ncf.errors import ArtifactError, UsageError
from ncf.scoring.bundle import Bundle
from ncf.scoring.sessions import (
    CUDA,
    EXACT,
    CudaOptions,
    GpuMemoryError,
    failed_on_cuda,
    open_session,
)

logger = logging.getLogger(__name__)

# Users of one call, by the form of the graph. The loop holds a block's logits, 8 MiB here; the
# other form holds its hidden layers too: some 2 GiB, which keep a large GPU busy (docs/gpu.md);
# on a smaller one blocks are halved until they fit.
_LOOP_USERS, _LOOP_LOGITS = 64, 1 << 21
_BLOCK_USERS, _BLOCK_VALUES = 1024, 1 << 28

Users = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.int64]
_OUTPUTS = ("item", "logit")
Feeds = dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]]


@dataclass(frozen=True)
class TopK:
    """Ranked items of some users.

    Parameters
    ----------
    items : int64 array of shape (n, width)
        Item indices from the best; ``width`` is K, or the catalogue's size where K is larger.
    scores : float32 array of shape (n, width)
        Logits, descending; ties stand by ascending index. Minus infinity where a user has no
        further wanted item; those entries do not count.
    """

    items: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]

    def valid(self) -> npt.NDArray[np.bool_]:
        """Tell which entries count, bool of shape ``(n, width)``; they stand first in a row."""
        valid: npt.NDArray[np.bool_] = np.isfinite(self.scores)
        return valid


class GraphRanker:
    """Ranks with the bundle's top-K graph.

    Parameters
    ----------
    bundle : Bundle
        Gives the graph, the user rows and the seen items.
    session : onnxruntime.InferenceSession
        A form of its top-K graph, open.
    form : Device
        Which form: that for the CPU, or that for CUDA.
    allowed : bool array of shape (items,), optional
        Items that may be listed; all of them if not given.
    """

    def __init__(
        self,
        bundle: Bundle,
        session: ort.InferenceSession,
        form: Device = Device.CPU,
        allowed: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self._bundle = bundle
        self._session = session
        self.device = Device.CUDA if CUDA in session.get_providers() else Device.CPU
        self.allowed = allowed
        mask = np.zeros(bundle.n_items, np.float32)
        if allowed is not None:
            mask[~allowed] = -np.inf
        # It stays on the device: the other inputs change with every call.
        self._mask = ort.OrtValue.ortvalue_from_numpy(mask, self.device.value, 0)
        self.step: int
        """Users of one call; halved where the GPU has too little memory."""
        if form is Device.CUDA:
            values = bundle.n_items * bundle.manifest["model"]["row_width"]
            self.step = max(1, min(_BLOCK_USERS, _BLOCK_VALUES // values))
        else:
            self.step = max(1, min(_LOOP_USERS, _LOOP_LOGITS // bundle.n_items))

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        device: Device = Device.CPU,
        threads: int = 0,
        allowed: npt.NDArray[np.bool_] | None = None,
        cuda: CudaOptions = EXACT,
    ) -> "GraphRanker":
        """Open the graph on a device, with so many threads; 0 takes every core.

        Raises
        ------
        CapabilityError
            CUDA was asked for and cannot be had.
        """
        session = open_session(bundle.topk_graph, device, threads, cuda)
        on_cuda = CUDA in session.get_providers()
        return cls(bundle, session, Device.CUDA if on_cuda else Device.CPU, allowed)

    def rank(
        self,
        users: Users,
        k: int,
        pool: Executor | None = None,
        unwanted: Callable[[Users], Pairs] | None = None,
    ) -> TopK:
        """Top-K unseen items of each user.

        Parameters
        ----------
        users : int64 array of shape (n,)
            User indices; repeats are allowed.
        k : int
            At least 1.
        pool : Executor, optional
            Threads that rank blocks of users side by side. With sessions of one thread this beats
            one session of many threads, whose operators are too small to share out.
        unwanted : callable, optional
            Gives position and item of what a block of users must not get; if not given, what the
            bundle says they have seen.

        Raises
        ------
        UsageError
            ``k`` is less than 1.
        IndexError
            A user index is out of range.
        ArtifactError
            A score is NaN.
        CapabilityError
            The GPU has no memory for one user, or was lost.
        """
        self._check(users, k)
        unwanted = unwanted or self._bundle.seen.pairs
        step = self._users_at_once(k)
        blocks = [users[start : start + step] for start in range(0, users.size, step)]

        def rank_block(block: Users) -> TopK:
            return self._rank_or_halve(block, unwanted(block), k)

        return _joined(list((pool.map if pool else map)(rank_block, blocks)) or [self._nobody(k)])

    def _rank_or_halve(self, users: Users, unwanted: Pairs, k: int) -> TopK:
        """Rank a block; where the GPU has no memory for it, its halves, and smaller blocks on."""
        try:
            return self.rank_masked(users, unwanted, k)
        except GpuMemoryError:
            if users.size == 1:
                raise
        half = users.size // 2
        if half < self.step:
            self.step = half
            logger.warning("the GPU has too little memory: going on with %d users a call", half)
        later = unwanted[:, 0] >= half
        second = unwanted[later] - np.array([half, 0])
        return _joined(
            [
                self._rank_or_halve(users[:half], unwanted[~later], k),
                self._rank_or_halve(users[half:], second, k),
            ]
        )

    def rank_masked(self, users: Users, unwanted: Pairs, k: int) -> TopK:
        """Top-K of each user but for given items, in one call of the graph.

        Parameters
        ----------
        users : int64 array of shape (n,)
            User indices.
        unwanted : int64 array of shape (m, 2)
            Position in ``users`` and item index; repeats are allowed.
        k : int
            At least 1.

        Raises
        ------
        CapabilityError
            The GPU has too little memory for so many users, or was lost.
        """
        self._check(users, k)
        if not users.size:  # a loop over no user is an error to ONNX Runtime
            return self._nobody(k)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("mask", self._mask)
        for name, array in self._feeds(users, unwanted, k).items():
            binding.bind_cpu_input(name, array)
        for name in _OUTPUTS:
            binding.bind_output(name)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # ONNX Runtime raises its own bare classes
            if self.device is not Device.CUDA:
                raise
            raise failed_on_cuda(error, users.size) from error
        items, scores = binding.copy_outputs_to_cpu()
        if np.isnan(scores).any():
            raise ArtifactError("the model scores NaN", where=self._bundle.path)
        return TopK(items, scores)

    def _users_at_once(self, k: int) -> int:  # noqa: ARG002 - a screen's depends on it
        return self.step

    def _feeds(self, users: npt.NDArray[np.int64], unwanted: Pairs, k: int) -> Feeds:
        return {
            "rows": np.ascontiguousarray(self._bundle.user_rows[users]),
            "seen": unwanted,
            "k": np.array([min(k, self._bundle.n_items)], np.int64),
        }

    def _nobody(self, k: int) -> TopK:
        shape = (0, min(k, self._bundle.n_items))
        return TopK(np.empty(shape, np.int64), np.empty(shape, np.float32))

    def _check(self, users: Users, k: int) -> None:
        check_k(k)
        # The graph knows no users, but NumPy would take -1 for the last row.
        if users.size and not (users.min() >= 0 and users.max() < self._bundle.n_users):
            raise IndexError(f"user index outside [0, {self._bundle.n_users})")


def _joined(parts: list[TopK]) -> TopK:
    items, scores = ([getattr(part, name) for part in parts] for name in ("items", "scores"))
    return TopK(np.concatenate(items), np.concatenate(scores))


def check_k(k: int) -> None:
    """Refuse a list shorter than one.

    Raises
    ------
    UsageError
        ``k`` is less than 1.
    """
    if k < 1:
        raise UsageError(f"k = {k} is less than 1", remedy="ask for at least one item")
