"""Rank exactly: score every item of the catalogue for every user."""

from pathlib import Path

from ncf.devices import Device
from ncf.scoring.blocks import BlockRanker
from ncf.scoring.bundle import Bundle
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.onnx_runtime import ort
from ncf.scoring.ranker import UserRows
from ncf.scoring.sessions import EXACT, CudaOptions, device_of, open_session

# Users of one call, by the form of the graph. The loop holds a block's logits, 8 MiB here. The
# other form also holds its hidden layers, about 2 GiB, which keep a large GPU busy (docs/gpu.md);
# on a smaller GPU, blocks are halved until they fit.
_LOOP_USERS, _LOOP_LOGITS = 64, 1 << 21
_BLOCK_USERS, _BLOCK_VALUES = 1024, 1 << 28


class ExactRanker(BlockRanker):
    """Ranks with the exact top-K graph.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        Session of one form of the graph.
    rows : UserRows
        One row a user, as the graph takes them: float32 ``(users, d)``, maybe a memory map.
    eligibility : Eligibility
        Says what may be listed.
    form : Device, optional
        Device that the form is for; if not given, the device of the session.
    where : Path, optional
        Origin of the graph, for messages.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        rows: UserRows,
        eligibility: Eligibility,
        form: Device | None = None,
        where: Path | None = None,
    ) -> None:
        super().__init__(session, rows, eligibility, where)
        self.step: int
        """Largest number of users in one call."""
        if (form or device_of(session)) is Device.CUDA:
            values = eligibility.n_items * rows.shape[1]
            self.step = max(1, min(_BLOCK_USERS, _BLOCK_VALUES // values))
        else:
            self.step = max(1, min(_LOOP_USERS, _LOOP_LOGITS // eligibility.n_items))

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        device: Device = Device.CPU,
        threads: int = 0,
        eligibility: Eligibility | None = None,
        cuda: CudaOptions = EXACT,
    ) -> "ExactRanker":
        """Open a bundle's graph on a device with a number of threads; 0 takes every core.

        If ``eligibility`` is not given, all items are eligible but those seen at the export.

        Raises
        ------
        CapabilityError
            CUDA was asked for and is not available.
        """
        session = open_session(bundle.topk_graph, device, threads, cuda)
        return cls(session, bundle.user_rows, eligibility or bundle.eligibility, where=bundle.path)

    def _users_at_once(self, k: int) -> int:  # noqa: ARG002 - a screen needs it
        return self.step
