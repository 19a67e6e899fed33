"""The toolkit's one import of ONNX Runtime: its telemetry is off before it loads.

Since version 1.31 or so ONNX Runtime looks up a host of its maker from every process that runs a
model, and keeps a device id and a database under ``~/.cache``, unless an environment variable
forbids that before the first import. All other modules import it from here.
"""

import logging
import os
import sys

logger = logging.getLogger(__name__)

_SWITCH = "ORT_DISABLE_TELEMETRY"

# A program may have imported it for ends of its own, and may have switched it off itself.
if "onnxruntime" in sys.modules and os.environ.get(_SWITCH) != "1":
    logger.warning(
        "onnxruntime was imported before ncf with its telemetry on: it may look up a host of its"
        " maker and write to ~/.cache; set %s=1, or import ncf.scoring.onnx_runtime first",
        _SWITCH,
    )
os.environ[_SWITCH] = "1"

import onnxruntime as ort  # noqa: E402 - the variable counts when it is imported

__all__ = ["ort"]
