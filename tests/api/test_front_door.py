"""``import ncf``: what it costs, what it offers, and that it does as the command line does."""

import ast
import io
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import ncf
from ncf.errors import ArtifactError, ConfigError, RatingsError, UsageError
from tests.api.conftest import QUICK, World
from tests.commands import done

ROOT = Path(__file__).parents[2] / "ncf"
HEAVY = ("torch", "pandas", "onnxruntime", "numpy", "pyarrow", "pydantic", "typer", "rich")


def python(code: str) -> str:
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return ended.stdout.strip()


def test_import_pulls_in_nothing_until_a_name_is_asked_for() -> None:
    found = f"[name for name in {HEAVY!r} if name in sys.modules]"
    assert python(f"import sys, ncf; dir(ncf); print({found})") == "[]"
    opened = f"import sys, ncf; ncf.open_bundle; print({found})"
    assert "torch" not in python(opened)


def test_import_takes_less_than_a_fifth_of_a_second() -> None:
    code = "import time; t = time.process_time(); import ncf; print(time.process_time() - t)"
    assert min(float(python(code)) for _ in range(3)) < 0.2


def test_help_takes_less_than_half_a_second() -> None:
    code = """
import sys, time
started = time.process_time()
sys.argv = ["ncf", "--help"]
from ncf.cli import main
try:
    main()
except SystemExit:
    print("seconds", time.process_time() - started)
"""
    assert min(float(python(code).split()[-1]) for _ in range(3)) < 0.5


def test_the_types_name_what_the_module_offers() -> None:
    tables = ast.parse((ROOT / "__init__.py").read_text())
    (modules,) = (
        ast.literal_eval(node.value)
        for node in tables.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_MODULES"
    )
    typed = {
        alias.asname: node.module
        for node in ast.parse((ROOT / "__init__.pyi").read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == modules
    assert set(dir(ncf)) >= set(modules) == set(ncf.__all__)
    assert all(getattr(ncf, name) is not None for name in modules)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'ncf' has no attribute 'trian'"):
        _ = ncf.trian  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "call",
    [
        lambda _, ncf: ncf.prepare("r.csv", "out"),
        lambda w, ncf: ncf.train(w.data, "gmf", "out"),
        lambda w, ncf: ncf.evaluate(w.model, w.data, "full"),
        lambda w, ncf: ncf.batch(w.bundle, "topk"),
        lambda w, _: w.bundle.recommend("u1", 10),
        lambda w, _: w.bundle.similar_items("film 1", 10),
    ],
)
def test_options_are_keywords(call: Callable[[World, Any], object], world: World) -> None:
    with pytest.raises(TypeError, match="positional"):
        call(world, ncf)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (
            lambda _, ncf: ncf.prepare("r.csv", out="x", split="third"),
            "`split` 'third' is not a choice",
        ),
        (
            lambda _, ncf: ncf.prepare("r.csv", out="x", format="tsv"),
            "give one of auto, csv, ",
        ),
        (
            lambda _, ncf: ncf.prepare("r", out="x", format="ncf", split="random"),
            "`split` does not",
        ),
        (lambda _, ncf: ncf.prepare("r.csv", out=""), "`out` is empty"),
        (lambda _, ncf: ncf.prepare([1, 2], out="x"), "`ratings` is of type list"),
        (lambda w, ncf: ncf.train(w.data, "svd", out="x"), "`model` 'svd' is not a choice"),
        (lambda w, ncf: ncf.train(w.data, "gmf", out="x", gmf="y"), '`model="neumf-pre"`'),
        (lambda w, ncf: ncf.evaluate(w.model, w.data, k=0), "`k` 0 is less than 1"),
        (lambda w, ncf: ncf.evaluate(w.model, w.data, device="tpu"), "`device` 'tpu'"),
        (lambda w, ncf: ncf.compare(w.model, w.data), "`models` is not a list"),
        (lambda w, ncf: ncf.compare([], w.data), "`models` is not a list"),
        (lambda _, ncf: ncf.open_bundle(None), "`bundle` is of type NoneType"),
        (lambda w, ncf: ncf.batch(w.bundle, out=""), "`out` is empty"),
        (lambda w, ncf: ncf.batch(w.bundle, mode="fast"), "`mode` 'fast'"),
        (lambda w, ncf: ncf.batch(w.bundle, recall=1.0), "`recall` 1.0 is outside"),
        (lambda _, ncf: ncf.verify(), "give `bundle`, `run`, or both"),
    ],
)
def test_a_wrong_argument_is_named_as_it_was_given(
    call: Callable[[World, Any], object], told: str, world: World
) -> None:
    with pytest.raises(UsageError) as caught:
        call(world, ncf)
    assert told in str(caught.value)


def test_a_recipe_may_change_by_a_mapping_and_unknown_keys_fail(world: World) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'schedule\.epoch'"):
        ncf.train(world.data, "gmf", out="x", config={"schedule": {"epoch": 2}})


def test_paths_may_be_strings_and_what_was_made_before_opens_again(world: World) -> None:
    assert ncf.open_data("data/mine").digest == world.data.digest
    assert ncf.open_model(Path("checkpoints/mine")).digest == world.model.digest
    assert ncf.open_bundle("model_store/mine").digest == world.bundle.digest
    alike = ncf.evaluate("checkpoints/mine", "data/mine", k=[5, 3, 5]).document
    assert alike == ncf.evaluate(world.model, world.data, k=(3, 5)).document
    for call in (ncf.open_data, ncf.open_model, ncf.open_bundle):
        with pytest.raises(ArtifactError, match="nowhere: not a"):
            call("nowhere")


def test_a_frame_of_movielens_columns_gives_the_list_that_the_command_line_gives(
    ratings_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = pd.read_csv(ratings_file)
    given.columns = ["userId", "movieId", "rating", "timestamp"]
    given["userId"] = given.userId.str.removeprefix("u").astype(int)
    movies = pd.DataFrame({"movieId": ["film 1", "film 2"], "title": ["One", "Two"]})
    given.to_csv("ratings.csv", index=False)
    movies.set_axis(["item_id", "title"], axis=1).to_csv("titles.csv", index=False)
    recipe = "factors = 4\n[schedule]\nepochs = 2\nbatch_size = 64\nlearning_rate = 0.02\n"
    (tmp_path / "quick.toml").write_text(recipe)
    for words in (
        "data prepare --ratings ratings.csv --format csv --titles titles.csv --min-rating 4 "
        "--negatives 12 --out data/file",
        "train --data data/file --model gmf --config quick.toml --out checkpoints/file",
        "export --checkpoint checkpoints/file --data data/file --name file",
        "batch --bundle model_store/file --out topk/file -k 30",
    ):
        done(*words.split(), cwd=tmp_path)

    data = ncf.prepare(given, out="data/frame", titles=movies, min_rating=4, negatives=12)
    model = ncf.train(data, "gmf", out="checkpoints/frame", config=QUICK)
    bundle = ncf.export(model, data, name="frame")
    run = ncf.batch(bundle, out="topk/frame", k=30)
    pd.testing.assert_frame_equal(run.frame(), ncf.read_latest("topk/file"))
    printed = done(
        *["recommend", "--bundle", "model_store/file", "--user", "7", "-k", "5", "--json"],
        cwd=tmp_path,
    )
    found = bundle.recommend(7, k=5)
    listed = json.loads(printed)["items"]
    assert [each["item"] for each in listed] == found.item_id.tolist()
    assert [each["score"] for each in listed] == found.score.tolist()
    for name in ("score.onnx", "topk.onnx", "users.npy", "ids.npz", "seen.npz", "popular.npy"):
        paths = (Path("model_store", each, name).read_bytes() for each in ("file", "frame"))
        assert len(set(paths)) == 1, name


def test_what_is_shown_helps(world: World) -> None:
    report = ncf.evaluate(world.model, world.data, protocol="full", k=[1, 5])
    assert "HR@5 (full)" in repr(report)
    assert report.frame().k.tolist() == [1, 5]
    with pytest.raises(UsageError, match="`max_users` goes with the full protocol"):
        ncf.evaluate(world.model, world.data, max_users=5)
    compared = ncf.compare([world.model, "checkpoints/mine"], world.data, k=5)
    assert "40 cases of 40 users, sampled, K = 5" in repr(compared)
    assert compared.frame().hr_difference.tolist()[1] == 0
    assert compared.overlap().to_numpy().tolist() == [[1, 1], [1, 1]]
    assert "320 train" in repr(world.data)
    assert world.data.frame().groupby("part").size().to_dict()["test"] == 40
    assert world.model.frame().epoch.tolist() == [1, 2]
    assert set(world.bundle.exported) > {"bundle", "archive", "digest"}
    assert "rows" in repr(world.run.figures)


def test_all_interactions_of_the_frame_are_those_of_the_file(
    ratings_file: Path, world: World
) -> None:
    ratings = pd.read_csv(ratings_file)
    found = world.data.frame()
    assert set(zip(found.user_id, found.item_id, strict=True)) == set(
        zip(ratings.user_id, ratings.item_id, strict=True)
    )


def test_filters_of_a_batch_may_be_files_frames_or_ids(world: World) -> None:
    users = pd.DataFrame({"userId": ["u3", "u1"]})
    seen = pd.DataFrame({"user": ["u1"], "item": ["film 1"]})
    pd.DataFrame({"user_id": ["u1", "u3"]}).to_csv("who.csv", index=False)
    given: dict[str, Any] = {"k": 5, "seen": seen, "exclude_items": ["film 3", "film 5"]}
    of_frame = ncf.batch(world.bundle, out="a", users=users, **given)
    table = of_frame.frame()
    assert set(table.user_id) == {"u1", "u3"}
    assert not set(table.item_id) & {"film 3", "film 5"}
    assert "film 1" not in set(table[table.user_id == "u1"].item_id)
    for others in (
        ["u3", "u1"],
        np.array(["u1", "u3"]),
        "who.csv",
        pa.table({"uid": ["u1", "u3"]}),
    ):
        run = ncf.batch(world.bundle, out="b", users=others, **given)
        pd.testing.assert_frame_equal(run.frame(), table)
    checks = {name: given[name] for name in ("seen", "exclude_items")}
    assert ncf.verify(world.bundle, run=of_frame, users=users, **checks)["users"] == 2
    with pytest.raises(UsageError, match="was not run with this `users`"):
        ncf.verify(world.bundle, run=of_frame, users=["u1"], **checks)
    with pytest.raises(RatingsError, match="entry 1: `users` is missing"):
        ncf.batch(world.bundle, out="b", users=["u1", None])


def test_nothing_is_printed_by_the_library(world: World) -> None:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()):
        world.bundle.recommend("u1")
        ncf.evaluate(world.model, world.data)
    assert out.getvalue() == ""
