"""Parity: the exported graph must equal the PyTorch model before anything is published."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ncf.devices import Device
from ncf.errors import ParityError
from ncf.models.scorer import scorer
from ncf.scoring.sessions import open_session
from ncf.training.checkpoint import Checkpoint

TOLERANCE = 1e-5
_PAIRS = 20_000


@dataclass(frozen=True)
class Parity:
    """How far a graph and PyTorch are apart.

    Parameters
    ----------
    pairs : int
        Pairs compared.
    max_difference, mean_difference : float
        Absolute, in logits. Logits near zero make relative differences useless.
    tolerance : float
        Largest difference that is let through.
    """

    pairs: int
    max_difference: float
    mean_difference: float
    tolerance: float = TOLERANCE

    def document(self) -> Mapping[str, Any]:
        """As JSON values."""
        return asdict(self)


def require_parity(graph: bytes, checkpoint: Checkpoint, *, seed: int = 0) -> Parity:
    """Compare a scoring graph with PyTorch on independent random pairs.

    Users and items are drawn apart from each other: a graph that reads one of its inputs twice
    would pass on equal ones. The first and the last user and item are always among them.

    Parameters
    ----------
    graph : bytes
        ``user, item -> logit`` as ONNX.
    checkpoint : Checkpoint
        The reference.
    seed : int
        Of the draw.

    Raises
    ------
    ParityError
        A logit is not finite, or differs by more than ``TOLERANCE``.
    """
    rng = np.random.default_rng(seed)
    sizes = (checkpoint.architecture.n_users, checkpoint.architecture.n_items)
    users, items = (rng.integers(0, size, _PAIRS) for size in sizes)
    corners = np.array([[0, 0, -1, -1], [0, -1, 0, -1]]) % np.array(sizes)[:, None]
    users, items = np.append(users, corners[0]), np.append(items, corners[1])
    session = open_session(graph, Device.CPU)
    (found,) = session.run(["logit"], {"user": users, "item": items})
    expected = scorer(checkpoint.model())(users, items)
    differences = np.abs(found.astype(np.float64) - expected)
    parity = Parity(users.size, float(differences.max()), float(differences.mean()))
    # Written so that NaN fails too.
    if not parity.max_difference <= TOLERANCE:
        worst = int(np.argmax(np.nan_to_num(differences, nan=np.inf)))
        user, item = checkpoint.users.raw[users[worst]], checkpoint.items.raw[items[worst]]
        raise ParityError(
            f"ONNX says {found[worst]} and PyTorch {expected[worst]} for {user!r}, {item!r}",
            where=checkpoint.path,
            remedy="nothing was published; please report this",
        )
    return parity
