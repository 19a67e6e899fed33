"""Run the tests that need a GPU, and count them."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.gpu.part import Record, Settings, require

_ROOT = Path(__file__).parents[2]


def run(settings: Settings, record: Record) -> None:
    """Run ``tests/cuda`` with the worlds that are here."""
    require("pytest")
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            *(sys.executable, "-m", "pytest", "tests/cuda", "--confcutdir=tests/cuda", "-q"),
            *(
                "-p",
                "no:cacheprovider",
                "-W",
                "ignore::pytest.PytestUnknownMarkWarning",
                f"--junit-xml={report}",
            ),
        ]
        environment = {**os.environ, "NCF_WORLDS": str(settings.worlds.absolute())}
        environment["NCF_DEVICE"] = settings.device.value
        ended = subprocess.run(command, cwd=_ROOT, env=environment, check=False)
        suite = ET.parse(report).getroot()[0]  # noqa: S314 - our own file
        counts = {
            name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")
        }
        reasons = sorted({str(each.get("message")) for each in suite.iter("skipped")})
        record.add("tests/cuda", **counts, skipped_because=reasons)
    if ended.returncode:
        raise AssertionError(f"pytest ended with exit code {ended.returncode}")
