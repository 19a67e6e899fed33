"""Where and when a bundle was made: versions of libraries, and a time that can be repeated."""

import os
from datetime import UTC, datetime
from importlib import metadata

from ncf.errors import UsageError
from ncf.scoring.onnx_runtime import ort


def versions() -> dict[str, str]:
    """List the versions of the toolkit and of the libraries that shape a bundle, by name."""
    found = {name: metadata.version(name) for name in ("ncf", "torch", "onnx", "numpy")}
    return {**found, "onnxruntime": ort.__version__}


def created() -> str | None:
    """Take the time from SOURCE_DATE_EPOCH, or none, so that equal inputs give equal bytes."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return None
    try:
        return datetime.fromtimestamp(int(given), UTC).isoformat()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"SOURCE_DATE_EPOCH={given!r} is not Unix seconds") from error
