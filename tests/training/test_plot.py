import json
import os
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest

from ncf.data.prepared import PreparedData
from ncf.models.kinds import Variant
from ncf.training import plot
from ncf.training.checkpoint import PICTURE_FILE, open_checkpoint
from ncf.training.history import HISTORY_FILE
from ncf.training.plot import draw, try_to_draw
from ncf.training.recipe import Recipe
from ncf.training.request import Request
from ncf.training.schedule import Schedule
from ncf.training.train import train
from ncf.validation import Epoch, Validation

ROWS = [Epoch(1, None, 0.2, 0.1), Epoch(2, 0.5, 0.6, 0.4), Epoch(3, 0.4, 0.5, 0.3)]
QUICK = Recipe(factors=4, schedule=Schedule(learning_rate=0.02, batch_size=64, epochs=3))


def best(epoch: int, protocol: str = "sampled") -> Validation:
    """Figures of a best epoch; only its number, K and protocol are drawn."""
    return Validation(0.5, 0.3, protocol, 10, epoch, "honest")


def chunks(png: bytes) -> list[bytes]:
    """Types of a PNG's chunks, checksums checked."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, found = 8, []
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        body = png[at + 4 : at + 8 + length]
        assert zlib.crc32(body) == struct.unpack_from(">I", png, at + 8 + length)[0]
        found.append(body[:4])
        at += 12 + length
    return found


def test_the_picture_is_a_png_without_time_or_version() -> None:
    kinds = chunks(draw(ROWS, "neumf-pre", best(2)))
    assert kinds[0] == b"IHDR"
    assert kinds[-1] == b"IEND"
    assert not {b"tEXt", b"iTXt", b"zTXt", b"tIME"} & set(kinds)


@pytest.mark.parametrize("protocol", ["sampled", "full"])
def test_it_says_variant_best_epoch_and_the_protocol(
    monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 - patched here

    said: list[str] = []

    def read(self: Figure, *_: object, **__: object) -> None:
        for axes in self.axes:
            said.extend([axes.get_title(), axes.get_ylabel(), *axes.get_legend_handles_labels()[1]])

    monkeypatch.setattr(Figure, "savefig", read)
    draw(ROWS, "neumf-pre", best(2, protocol))
    assert "neumf-pre: best epoch 2 of 3" in said
    assert {"training loss", f"HR@10 ({protocol})", f"NDCG@10 ({protocol})", "best epoch"} <= set(
        said
    )


@pytest.mark.parametrize(
    "rows", [ROWS, ROWS[:1], ROWS[1:2], [replace(ROWS[1], epoch=n) for n in range(1, 1001)]]
)
def test_any_number_of_epochs_can_be_drawn(rows: list[Epoch]) -> None:
    assert draw(rows, "gmf", best(1))


_DRAW = """
import sys; from ncf.training.plot import draw; from ncf.validation import Epoch, Validation
rows = [Epoch(n, 1 / n, n / 9, n / 11) for n in range(1, 6)]
best = Validation(0.5, 0.3, "sampled", 10, 3, "honest")
sys.stdout.buffer.write(draw(rows, "gmf", best))
"""


def test_a_users_own_settings_and_another_process_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text(
        "font.size: 20\naxes.facecolor: black\nfont.family: serif\n"
    )
    drawn = [
        subprocess.run(
            [sys.executable, "-c", _DRAW], check=True, capture_output=True, env=environment
        ).stdout
        for environment in (
            dict(os.environ),
            {**os.environ, "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "TZ": "Asia/Tokyo"},
        )
    ]
    assert drawn[0] == drawn[1]
    assert chunks(drawn[0])


def test_drawing_leaves_settings_as_they_were_and_pyplot_alone() -> None:
    before = dict(mpl.rcParams)
    with mpl.rc_context({"font.size": 31.0}):
        draw(ROWS, "gmf", best(2))
        assert mpl.rcParams["font.size"] == 31.0
    assert dict(mpl.rcParams) == before
    code = f"{_DRAW}\nassert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_training_leaves_a_sealed_picture_and_the_same_training_the_same_digest(
    data: PreparedData, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        train(Request(Variant.GMF, QUICK, tmp_path / name), data)
    one, two = (open_checkpoint(tmp_path / name) for name in ("one", "two"))
    assert PICTURE_FILE in one.manifest.files
    assert chunks((one.path / PICTURE_FILE).read_bytes())
    assert one.digest == two.digest
    assert one.manifest.validation.protocol == "sampled"
    assert json.loads((one.path / HISTORY_FILE).read_bytes())["protocol"] == "sampled"


def test_a_failure_to_draw_loses_the_picture_and_not_the_training(
    data: PreparedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object) -> bytes:
        raise RuntimeError("no font")

    monkeypatch.setattr(plot, "draw", broken)
    train(Request(Variant.GMF, QUICK, tmp_path / "c"), data)
    assert PICTURE_FILE not in open_checkpoint(tmp_path / "c").manifest.files
    assert "could not be drawn (no font)" in caplog.text


def test_without_matplotlib_a_checkpoint_has_no_picture_and_a_line_says_how_to_get_one(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert try_to_draw(ROWS, "gmf", best(1)) is None
    (line,) = caplog.messages
    assert line.endswith("needs Matplotlib; pip install 'ncf[plot]'")


def test_no_epoch_is_no_picture() -> None:
    assert try_to_draw([], "gmf", best(0)) is None
