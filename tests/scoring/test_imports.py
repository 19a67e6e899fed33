import subprocess
import sys

import pytest

_BLOCKED = """
import sys
sys.modules["torch"] = sys.modules["ts"] = None
import {module}
"""


@pytest.mark.parametrize(
    "module",
    [
        "ncf.proof.audit",
        "ncf.scoring.bundle",
        "ncf.scoring.golden",
        "ncf.scoring.exact",
        "ncf.proof.recall",
        "ncf.scoring.recommend",
        "ncf.scoring.screened",
        "handlers.service",
        "handlers.metrics",
        "handlers.ncf_handler",
        "batch.pipeline",
        "batch.parts",
    ],
)
def test_scoring_handlers_and_batch_import_without_torch_or_torchserve(module: str) -> None:
    subprocess.run([sys.executable, "-c", _BLOCKED.format(module=module)], check=True)


def test_help_needs_neither_torch_nor_onnx_runtime() -> None:
    heavy = ("torch", "onnxruntime", "onnx", "pandas", "pyarrow", "scipy")
    code = f"import sys, ncf.cli.app; print([m for m in {heavy} if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ended.stdout.strip() == "[]"
