"""Versions of everything that makes parts: a worker must have those of the plan."""

from importlib import metadata

import pyarrow as pa

from batch.manifest import PARTS_VERSION
from batch.plans import Plan
from ncf.errors import ArtifactError
from ncf.scoring.onnx_runtime import ort


def versions() -> dict[str, str | int]:
    """List the versions of everything that makes parts."""
    return {
        "ncf": metadata.version("ncf"),
        "onnxruntime": ort.__version__,
        "pyarrow": pa.__version__,
        "parts_version": PARTS_VERSION,
    }


def require_versions(plan: Plan) -> None:
    """Refuse other versions than those that the plan was made with.

    Raises
    ------
    ArtifactError
        One is another; the message names both.
    """
    for name, here in versions().items():
        if here != (wanted := getattr(plan.asked, name)):
            raise ArtifactError(
                f"{name} is {here} here and {wanted} in the plan",
                remedy="install the plan's version, or plan again with this one",
            )
