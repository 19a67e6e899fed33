"""The fuzz targets on the inputs that are kept, on mutants of them, and for a moment for real."""

import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
_SECONDS = "2"


def kept(target: str) -> list[Path]:
    return sorted((CORPUS / target).iterdir())


@pytest.mark.parametrize("target", TARGETS)
def test_every_kept_input_is_read_or_refused(target: str) -> None:
    assert len(kept(target)) >= 3
    for path in kept(target):
        TARGETS[target](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60, deadline=None)
@given(chosen=st.integers(0, 10**6), seed=st.integers(0, 2**32), noise=st.binary(max_size=9))
def test_whatever_is_cut_flipped_or_put_in_is_read_or_refused(
    target: str, chosen: int, seed: int, noise: bytes
) -> None:
    paths, rng = kept(target), random.Random(seed)  # noqa: S311 - places, not secrets
    data = bytearray(paths[chosen % len(paths)].read_bytes())
    for _ in range(rng.randrange(4)):
        start = rng.randrange(len(data) + 1)
        stop = min(len(data), start + rng.choice([0, 1, 2, 30]))
        data[start:stop] = rng.choice([b"", noise, bytes(data[start : start + 40])])
    TARGETS[target](bytes(data))


@pytest.mark.skipif(find_spec("atheris") is None, reason="no Atheris for this Python or system")
@pytest.mark.parametrize("target", TARGETS)
def test_a_short_guided_run_finds_nothing(target: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz.fuzz", target, "--new", str(tmp_path)]
    ended = subprocess.run(
        [*command, "--seconds", _SECONDS, "--seed", "1"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-6000:]
    assert list(tmp_path.glob("crash-*")) == []
    assert "Done" in ended.stderr
