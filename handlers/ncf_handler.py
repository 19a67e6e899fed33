"""The TorchServe handler: load a bundle, answer rows.

TorchServe calls :func:`handle` once with ``data=None`` to load, and then with batches of rows.
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
_WORKERS = "NCF_WORKERS"  # number of workers of this model on this machine; set by 'ncf serve'
_JSON = "application/json"


class Context(Protocol):
    """The part of TorchServe's context that this handler uses."""

    model_name: str
    system_properties: Mapping[str, Any]
    model_yaml_config: Mapping[str, Any]
    metrics: Any

    def get_request_id(self, idx: int) -> str | None:
        """Get the id of one row; the client gets it as the header ``x-request-id``."""

    def get_request_header(self, idx: int, key: str) -> str | None:
        """Get a header of one row; TorchServe adds its own."""

    def set_response_status(self, code: int, phrase: str, idx: int) -> None:
        """Set the HTTP status of one row."""

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Set the content type of one row."""


class _Loaded:
    """Holds the model of this worker process."""

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
        # Only ASCII: any other phrase kills the worker.
        phrase = "OK" if answer.status == 200 else "Refused"
        context.set_response_status(answer.status, phrase, position)
        context.set_response_content_type(position, _JSON)
    _Loaded.metrics.record(answers, seconds)
    return [answer.body for answer in answers]


def _load(folder: Path, context: Context) -> None:
    """Load the bundle beside this file; an error ends the worker, and is the last line of its log.

    The error must not be a RuntimeError: TorchServe catches it, and would log another one after.
    """
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        from handlers.metrics import Metrics  # noqa: PLC0415 - is in the archive
        from handlers.service import Service  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(f"{error}: this model needs {_NEEDED}; pip install it") from error
    lanes = _lanes(context.model_yaml_config)
    service = Service(folder / _BUNDLE, lanes, context.model_name)
    _Loaded.metrics = Metrics(context.metrics, service.model)
    _Loaded.service = service
    logger.info("bundle %s is loaded", service.model)


def _lanes(config: Mapping[str, Any]) -> int:
    """Count the cores for each worker; one if the number of workers is unknown."""
    from ncf.devices import usable_cores  # noqa: PLC0415 - is in the archive

    workers = str(os.environ.get(_WORKERS) or config.get("minWorkers", ""))
    return max(1, usable_cores() // int(workers)) if workers.isdecimal() and int(workers) else 1
