"""Top-K of users over the whole catalogue, unwanted items masked, by the exact graph."""

from collections.abc import Callable
from concurrent.futures import Executor

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ncf.devices import Device
from ncf.errors import ArtifactError
from ncf.scoring.bundle import Bundle
from ncf.scoring.ranker import Pairs, TopK, Users, check_k
from ncf.scoring.sessions import CUDA, open_session

# Users of one call, by the form of the graph. The loop holds a block's logits, 8 MiB here; the
# other form holds its hidden layers too, 256 MiB here.
_LOOP_USERS, _LOOP_LOGITS = 64, 1 << 21
_BLOCK_USERS, _BLOCK_VALUES = 1024, 1 << 26

_OUTPUTS = ("item", "logit")
Feeds = dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]]


class ExactRanker:
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
        self._step: int
        if form is Device.CUDA:
            values = bundle.n_items * bundle.manifest["model"]["row_width"]
            self._step = max(1, min(_BLOCK_USERS, _BLOCK_VALUES // values))
        else:
            self._step = max(1, min(_LOOP_USERS, _LOOP_LOGITS // bundle.n_items))

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        device: Device = Device.CPU,
        threads: int = 0,
        allowed: npt.NDArray[np.bool_] | None = None,
    ) -> "ExactRanker":
        """Open the graph on a device, with so many threads; 0 takes every core.

        Raises
        ------
        CapabilityError
            CUDA was asked for and cannot be had.
        """
        session = open_session(bundle.topk_graph, device, threads)
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
        """
        self._check(users, k)
        unwanted = unwanted or self._bundle.seen.pairs
        step = self._users_at_once(k)
        blocks = [users[start : start + step] for start in range(0, users.size, step)]

        def rank_block(block: Users) -> TopK:
            return self.rank_masked(block, unwanted(block), k)

        parts = list((pool.map if pool else map)(rank_block, blocks)) or [self._nobody(k)]
        items, scores = ([getattr(part, name) for part in parts] for name in ("items", "scores"))
        return TopK(np.concatenate(items), np.concatenate(scores))

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
        self._session.run_with_iobinding(binding)
        items, scores = binding.copy_outputs_to_cpu()
        if np.isnan(scores).any():
            raise ArtifactError("the model scores NaN", where=self._bundle.path)
        return TopK(items, scores)

    def _users_at_once(self, k: int) -> int:  # noqa: ARG002 - a screen's depends on it
        return self._step

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
