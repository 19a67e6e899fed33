"""The ten lines of README.md run as they stand."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ncf

README = Path(__file__).parents[2] / "README.md"


def test_the_lines_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = [
        (user, movie, 3 + step % 3, 1000 + step)
        for user in range(30)
        for step, movie in enumerate(rng.permutation(150)[:15])
    ]
    names = ["userId", "movieId", "rating", "timestamp"]
    pd.DataFrame(rows, columns=names).to_csv("ratings.csv", index=False)
    movies = pd.DataFrame({"movieId": range(150), "title": [f"No. {n}" for n in range(150)]})
    movies.to_csv("movies.csv", index=False)
    (block,) = re.findall(r"```python\n(import ncf\nimport pandas.*?)```", README.read_text(), re.S)
    found: dict[str, pd.DataFrame] = {}
    exec(block, found)  # noqa: S102 - our own page
    assert len(block.strip().splitlines()) <= 12
    assert found["table"].groupby("user_id").size().tolist() == [10] * 30
    pd.testing.assert_frame_equal(found["table"], ncf.read_latest("topk"))
