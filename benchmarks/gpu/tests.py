"""Run the tests that need a GPU, and count them."""

import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.gpu.part import Record, Settings, require

_ROOT = Path(__file__).parents[2]


def run(settings: Settings, record: Record) -> None:
    """Run ``tests/cuda`` with the worlds that are here."""
    require("pytest")
    command = [
        *(sys.executable, "-m", "pytest", "tests/cuda", "--confcutdir=tests/cuda", "-rs"),
        *("-p", "no:cacheprovider", "-W", "ignore::pytest.PytestUnknownMarkWarning"),
    ]
    environment = {**os.environ, "NCF_WORLDS": str(settings.worlds.absolute())}
    environment["NCF_DEVICE"] = settings.device.value
    ended = subprocess.run(
        command, cwd=_ROOT, env=environment, check=False, capture_output=True, text=True
    )
    lines = ended.stdout.splitlines()
    found = re.findall(r"(\d+) (passed|failed|errors?|skipped)", lines[-1] if lines else "")
    counts = {word: int(count) for count, word in found}
    reasons = {line.rpartition(": ")[2] for line in lines if line.startswith("SKIPPED")}
    record.add("tests/cuda", **counts, skipped_because=sorted(reasons))
    if ended.returncode or not counts.get("passed"):
        sys.stderr.write(ended.stdout[-4000:])
        raise AssertionError(f"pytest ended with exit code {ended.returncode}")
