"""The picture of a training leaves nothing at home, and no variable keeps it away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_DRAW = """
import sys
from ncf.training.plot import draw
from ncf.validation import Epoch, Validation
rows = [Epoch(n, 1 / n, n / 9, n / 11) for n in range(1, 6)]
sys.stdout.buffer.write(draw(rows, "gmf", Validation(0.5, 0.3, "sampled", 10, 3, "honest")))
"""


def _draw(home: Path, program: str = _DRAW, **variables: str) -> bytes:
    names = ("MPLCONFIGDIR", "MPLBACKEND", "MATPLOTLIBRC", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**kept, "HOME": str(home), **variables},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"MPLBACKEND": "nonsense"},
        {"MPLBACKEND": "module://not.installed"},
        {"MPLBACKEND": "TkAgg", "DISPLAY": ":77"},
        {"MATPLOTLIBRC": "/nowhere/at/all"},
    ],
    ids=lambda variables: str(list(variables.values())),
)
def test_a_picture_is_drawn_and_nothing_is_left_at_home(
    variables: dict[str, str], tmp_path: Path
) -> None:
    assert _draw(tmp_path, **variables).startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == []


def test_a_program_still_has_its_own_settings_and_backend(tmp_path: Path) -> None:
    own = tmp_path / ".config" / "matplotlib" / "matplotlibrc"
    own.parent.mkdir(parents=True)
    own.write_text("font.size: 21\n")
    look = "import matplotlib as m; print(m.rcParams['font.size'], m.rcParams['backend'])"
    quiet = _DRAW.replace("sys.stdout.buffer.write", "len")
    said = _draw(tmp_path, f"{quiet}\n{look}", MPLBACKEND="pdf")
    assert said.split() == [b"21.0", b"pdf"]


def test_a_home_that_is_not_there_or_not_set_is_no_matter(tmp_path: Path) -> None:
    assert _draw(tmp_path / "nowhere").startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == []
    program = f"import os; os.environ.pop('HOME')\n{_DRAW}"
    assert _draw(tmp_path, program).startswith(b"\x89PNG")
