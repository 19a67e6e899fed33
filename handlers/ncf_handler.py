"""The TorchServe handler: load a bundle, answer rows.

TorchServe calls :func:`handle` with ``data=None`` once to load, and with a batch of rows after.
The archive carries the bundle and the scoring code beside this file.
"""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

logger = logging.getLogger(__name__)

_BUNDLE = "bundle"
_NEEDED = "numpy and onnxruntime (or onnxruntime-gpu)"
_WORKERS = "NCF_WORKERS"  # of this model on this machine; 'ncf serve' sets it
_JSON = "application/json"


class Context(Protocol):
    """What this handler uses of TorchServe's context."""

    model_name: str
    system_properties: Mapping[str, Any]
    model_yaml_config: Mapping[str, Any]
    metrics: Any

    def get_request_id(self, idx: int) -> str | None:
        """Id of one row; the client gets it as the header ``x-request-id``."""

    def get_request_header(self, idx: int, key: str) -> str | None:
        """Header of one row; TorchServe adds its own."""

    def set_response_status(self, code: int, phrase: str, idx: int) -> None:
        """Set the HTTP status of one row."""

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Set the content type of one row."""


class _Loaded:
    """The model of this worker process."""

    service: Any = None
    metrics: Any = None


def handle(data: Sequence[Mapping[str, object]] | None, context: Context) -> list[bytes] | None:
    """Load the model, or answer a batch: one answer a row, each with its own status."""
    if _Loaded.service is None:
        _load(Path(str(context.system_properties["model_dir"])), context)
    if data is None:
        return None
    # TorchServe describes in a batch of one; a client may send that header with an empty form too.
    alone = len(data) == 1 and not data[0]
    if alone and context.get_request_header(0, "describe") == "True":
        return [_Loaded.service.describe()]
    answers, seconds = _Loaded.service.answer(data)
    for position, answer in enumerate(answers):
        if answer.status >= 500:
            logger.error("request %s: %s", context.get_request_id(position), answer.code)
        # Only ASCII: another phrase kills the worker.
        phrase = "OK" if answer.status == 200 else "Refused"
        context.set_response_status(answer.status, phrase, position)
        context.set_response_content_type(position, _JSON)
    _Loaded.metrics.record(answers, seconds)
    return [answer.body for answer in answers]


def _load(folder: Path, context: Context) -> None:
    """Load the bundle beside this file; whatever is raised ends the worker, as its last words.

    TorchServe catches RuntimeError, and would log an unknown exception after it.
    """
    # TorchServe puts the folder behind PYTHONPATH, which may have an ncf or a handlers of its own.
    sys.path.insert(0, str(folder))
    try:
        from handlers.metrics import Metrics  # noqa: PLC0415 - lies in the archive
        from handlers.service import Service  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(f"{error}: this model needs {_NEEDED}; pip install it") from error
    lanes = _lanes(context.model_yaml_config)
    service = Service(folder / _BUNDLE, lanes, context.model_name)
    _Loaded.metrics = Metrics(context.metrics, service.model)
    _Loaded.service = service
    logger.info("bundle %s is loaded", service.model)


def _lanes(config: Mapping[str, Any]) -> int:
    """Cores for each worker; one where the number of workers is not known."""
    from ncf.devices import usable_cores  # noqa: PLC0415 - lies in the archive

    workers = str(os.environ.get(_WORKERS) or config.get("minWorkers", ""))
    return max(1, usable_cores() // int(workers)) if workers.isdecimal() and int(workers) else 1
