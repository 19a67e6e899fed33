"""The TorchServe handler: load a bundle, answer rows. Nothing of TorchServe is imported.

TorchServe calls :func:`handle` with ``data=None`` once to load, and with a batch of rows after.
The archive carries the bundle and the scoring code beside this file.
"""

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

logger = logging.getLogger(__name__)

_BUNDLE = "bundle"
_NEEDED = "numpy and onnxruntime (or onnxruntime-gpu)"


class Context(Protocol):
    """What this handler uses of TorchServe's context."""

    system_properties: Mapping[str, Any]

    def set_response_status(self, code: int, phrase: str, idx: int) -> None:
        """Set the HTTP status of one row."""

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Set the content type of one row."""


class _Service:
    """The loaded model of this worker process."""

    loaded: Any = None


def handle(data: Sequence[Mapping[str, object]] | None, context: Context) -> list[bytes] | None:
    """Load the model, or answer a batch: one answer a row, each with its own status."""
    if _Service.loaded is None:
        _Service.loaded = _load(Path(str(context.system_properties["model_dir"])))
    if data is None:
        return None
    answers = []
    for position, row in enumerate(data):
        status, answer = _Service.loaded.answer(row)
        # Only ASCII: another phrase kills the worker.
        context.set_response_status(status, "OK" if status == 200 else "Refused", position)
        context.set_response_content_type(position, "application/json")
        answers.append(answer)
    return answers


def _load(folder: Path) -> Any:  # noqa: ANN401 - its type is importable only after this
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        from handlers.service import Service  # noqa: PLC0415 - lies in the archive
    except ImportError as error:
        # TorchServe passes on only a few kinds of error from a load.
        raise RuntimeError(f"{error}: this model needs {_NEEDED}; pip install it") from error
    service = Service(folder / _BUNDLE)
    logger.info("bundle %s is loaded", service.model)
    return service
