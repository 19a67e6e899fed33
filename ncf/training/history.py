"""Write and read the history of a training, its figures by epoch."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ncf.artifacts import canonical_json
from ncf.errors import ArtifactError
from ncf.records import json_values, read_record
from ncf.training.manifest import CHECKPOINT
from ncf.validation import Epoch

HISTORY_FILE = "history.json"


@dataclass(frozen=True)
class History:
    """The history of a training, ``history.json``.

    Parameters
    ----------
    protocol : str
        How they were measured: ``sampled``, or ``full`` for data of a given split.
    epochs : sequence of Epoch
        Epochs in order.
    """

    protocol: str
    epochs: tuple[Epoch, ...]


def history_bytes(protocol: str, epochs: Iterable[Epoch]) -> bytes:
    """Write a history as the content of ``history.json``."""
    return canonical_json(json_values(History(protocol, tuple(epochs))))


def load_history(path: Path) -> tuple[Epoch, ...]:
    """Read a checkpoint's history.

    Raises
    ------
    ArtifactError
        The history is damaged.
    """
    try:
        return read_record(History, json.loads((path / HISTORY_FILE).read_bytes())).epochs
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"not readable ({error})", where=path / HISTORY_FILE, remedy=CHECKPOINT.remedy
        ) from error
