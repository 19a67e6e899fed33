"""The commands as users type them; the whole way, and what a process itself does, in processes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from batch.manifest import RUN
from batch.published import read_latest
from ncf.artifacts import open_sealed
from tests import commands

# -P: as the installed command, which does not look for modules where it is run.
NCF = [sys.executable, "-P", "-c", "from ncf.cli import main; main()"]
QUICK = """
factors = 4
[schedule]
epochs = 2
batch_size = 64
learning_rate = 0.02
[parents.gmf]
epochs = 2
[parents.mlp]
epochs = 2
"""
PREPARE = "data prepare --ratings ratings.csv --format csv --negatives 12"
WHOLE_WAY = (
    f"{PREPARE} --titles titles.csv --out data/mine",
    "train --data data/mine --model neumf-pre --out checkpoints/pre --config quick.toml",
    "export --checkpoint checkpoints/pre --data data/mine --out model_store",
    "batch --bundle model_store/ncf --out topk -k 10",
)
COMMANDS = [
    "data fetch",
    "data prepare",
    "train",
    "tune",
    "evaluate",
    "compare",
    "export",
    "batch",
    "batch show",
    "recommend",
    "similar",
    "serve",
    "check",
    "torchserve-config",
    "verify",
    "doctor",
]


def ncf(*words: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run one command in this process, which has all imports already; check its exit code."""
    ended = commands.ncf(*words, cwd=cwd)
    assert ended.code == code, ended.err
    return subprocess.CompletedProcess([], code, ended.out, ended.err)


def refused(*words: object, cwd: Path) -> str:
    """Run one command that must be refused: exit 2 and one line on standard error."""
    ended = ncf(*words, cwd=cwd, code=2)
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("ncf: ")
    assert ended.stdout == ""
    return lines[0]


@pytest.fixture(scope="module")
def home(ratings_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole way was gone once."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(ratings_file, home / "ratings.csv")
    (home / "titles.csv").write_text('item_id,title\nfilm 1,"Kolya, again"\n')
    (home / "quick.toml").write_text(QUICK)
    for command in WHOLE_WAY:
        subprocess.run([*NCF, *command.split()], cwd=home, check=True)
    return home


def test_the_whole_way_ends_in_a_complete_table(home: Path, ratings_file: Path) -> None:
    table = read_latest(home / "topk")
    ratings = pd.read_csv(ratings_file, dtype=str)
    assert table.groupby("user_id", observed=True).size().tolist() == [10] * 40
    pairs = set(zip(table.user_id, table.item_id, strict=True))
    assert not pairs & set(zip(ratings.user_id, ratings.item_id, strict=True))
    assert set(table.user_id) == set(ratings.user_id)
    open_sealed(home / "topk" / (home / "topk" / "LATEST").read_text().strip(), RUN)


@pytest.mark.parametrize("protocol", ["sampled", "full"])
def test_evaluate_prints_the_same_figures_each_time(home: Path, protocol: str) -> None:
    words = f"evaluate --checkpoint checkpoints/pre --data data/mine --protocol {protocol} -k 5"
    first, second = (json.loads(ncf(*words.split(), "--json", cwd=home).stdout) for _ in range(2))
    assert first == second
    assert (first["protocol"], first["cases"]) == (protocol, 40)
    (row,) = first["metrics"]
    assert row["k"] == 5
    assert 0 < row["mrr"] <= row["ndcg"] <= row["hr"] <= 1


def test_evaluate_takes_several_lengths_and_names_the_protocol_of_each_figure(home: Path) -> None:
    words = "evaluate --checkpoint checkpoints/pre --data data/mine -k 20 -k 5 -k 5"
    for protocol, names in (("sampled", ["HR", "NDCG", "MRR"]), ("full", ["HR", "recall"])):
        text = ncf(*words.split(), "--protocol", protocol, cwd=home).stdout
        for name in names:
            assert re.findall(rf"^{name}@(\d+) \({protocol}\) ", text, re.MULTILINE) == ["5", "20"]
    assert re.search(r"^coverage@5 \(full\) ", text, re.MULTILINE)


def test_compare_shows_models_side_by_side(home: Path) -> None:
    train = f"train --data data/mine --model gmf --config quick.toml --out {home / 'g'}"
    ncf(*train.split(), cwd=home)
    words = ["compare", "checkpoints/pre", "g", "g", "--data", "data/mine", "-k", 5]
    for protocol in ("sampled", "full"):
        evaluate = f"evaluate --checkpoint g --data data/mine -k 5 --protocol {protocol} --json"
        alone = json.loads(ncf(*evaluate.split(), cwd=home).stdout)["metrics"][0]
        found = json.loads(ncf(*words, "--protocol", protocol, "--json", cwd=home).stdout)
        assert (found["protocol"], found["k"], found["users"]) == (protocol, 5, 40)
        assert [model["variant"] for model in found["models"]] == ["neumf-pre", "gmf", "gmf"]
        reference, one, other = found["models"]
        assert one == other
        assert one["hr"]["mean"] == pytest.approx(alone["hr"])
        assert one["ndcg"]["mean"] == pytest.approx(alone["ndcg"])
        difference = one["hr"]["mean"] - reference["hr"]["mean"]
        assert one["hr"]["difference"] == pytest.approx(difference)
        assert found["overlap"]["common"][1][2] == found["overlap"]["average"][1][2] == 1
        assert 0 < found["overlap"]["common"][0][1] < 1
        text = ncf(*words, "--protocol", protocol, cwd=home).stdout
        assert f"HR@5 ({protocol})" in text
        assert max(map(len, text.splitlines())) <= 80


def test_train_says_that_its_validation_is_sampled(home: Path, tmp_path: Path) -> None:
    words = f"train --data data/mine --model gmf --config quick.toml --out {tmp_path / 'c'}"
    assert "validation HR@10 (sampled)" in ncf(*words.split(), cwd=home).stdout
    found = json.loads(ncf(*words.split(), "--json", cwd=home).stdout)
    assert (found["protocol"], found["k"]) == ("sampled", 10)


def test_recommend_prints_history_and_titles_and_agrees_with_the_table(home: Path) -> None:
    words = ["recommend", "--bundle", "model_store/ncf", "--user", "u3", "-k", "4"]
    found = json.loads(ncf(*words, "--json", cwd=home).stdout)
    table = read_latest(home / "topk")
    rows = table[table.user_id == "u3"].head(4)
    assert [item["item"] for item in found["items"]] == rows.item_id.tolist()
    assert found["policy"] == "model"
    assert "known interactions of user u3" in ncf(*words, cwd=home).stdout
    stranger = ncf("recommend", "--bundle", "model_store/ncf", "--user", "x", cwd=home).stdout
    assert "unknown to the model" in stranger
    everyone = ncf("recommend", "--bundle", "model_store/ncf", "--user", "x", "-k", 30, cwd=home)
    assert "Kolya, again" in everyone.stdout


def test_a_history_gives_a_stranger_a_list_and_new_items_come_without_training(home: Path) -> None:
    (home / "mine.csv").write_text("item_id\nfilm 2\nfilm 4\nfilm 6\nfilm 8\nno such film\n")
    export = ("export", "--checkpoint", "checkpoints/pre", "--data", "data/mine", "--name", "keen")
    ncf(*export, "--out", "keen", "--min-history", "2", cwd=home)
    bundle = ("recommend", "--bundle", "keen/keen", "--json", "-k", "3")
    by_file = json.loads(ncf(*bundle, "--history", "mine.csv", cwd=home).stdout)
    by_ids = json.loads(
        ncf(*bundle, "--history", "film 4,film 2,film 8, film 6,x", cwd=home).stdout
    )
    assert by_file == by_ids
    assert (by_file["policy"], by_file["history"]) == ("history", {"known": 4, "unknown": 1})
    short = json.loads(ncf(*bundle, "--history", "film 4", cwd=home).stdout)
    empty = json.loads(ncf(*bundle, "--history", "", cwd=home).stdout)  # not the current folder
    assert (empty["policy"], empty["history"]) == ("popular", {"known": 0, "unknown": 0})
    assert short["policy"] == "popular"
    (home / "today.csv").write_text("user_id,item_id\nu1,premiere\n")
    grow = ("export", "--bundle", "keen/keen", "--new-items", "today.csv", "--out", "keen")
    assert json.loads(ncf(*grow, "--json", cwd=home).stdout)["new_items"] == 1
    ncf("verify", "--bundle", "keen/ncf", cwd=home)


def test_similar_prints_items_with_titles_where_known(home: Path) -> None:
    words = ["similar", "--bundle", "model_store/ncf", "--item"]
    found = json.loads(ncf(*words, "film 2", "-k", 29, "--json", cwd=home).stdout)
    assert found["item"] == "film 2"
    similarities = [each["similarity"] for each in found["items"]]
    assert similarities == sorted(similarities, reverse=True)
    titles = {each["item"]: each.get("title") for each in found["items"]}
    assert len(titles) == 29
    assert [item for item, title in titles.items() if title] == ["film 1"]
    assert "Kolya, again" in ncf(*words, "film 2", "-k", 29, cwd=home).stdout
    assert "unknown item 'x'" in refused(*words, "x", cwd=home)


def test_verify_reports_a_sound_bundle_and_names_a_damaged_file(home: Path, tmp_path: Path) -> None:
    report = json.loads(ncf("verify", "--bundle", "model_store/ncf", "--json", cwd=home).stdout)
    assert report["golden_requests"] == 11
    broken = Path(shutil.copytree(home / "model_store" / "ncf", tmp_path / "ncf"))
    (broken / "topk.onnx").write_bytes((broken / "topk.onnx").read_bytes()[:-1])
    assert "topk.onnx: bytes differ" in refused("verify", "--bundle", broken, cwd=home)


def test_verify_checks_a_run_against_its_bundle(home: Path) -> None:
    run = Path("topk") / (home / "topk" / "LATEST").read_text().strip()
    words = ["verify", "--run", run, "--bundle", "model_store/ncf", "--json"]
    report = json.loads(ncf(*words, cwd=home).stdout)
    assert (report["users"], report["rows"]) == (40, 400)
    assert "--bundle, --run" in refused("verify", cwd=home)


def test_export_writes_the_archive_and_a_triton_repository(home: Path) -> None:
    assert (home / "model_store" / "ncf.mar").stat().st_size > 10_000
    words = "export --checkpoint checkpoints/pre --data data/mine --target triton --out triton -k 5"
    ncf(*words.split(), cwd=home)
    assert (home / "triton" / "ncf" / "1" / "model.onnx").exists()


def test_a_bundle_may_refuse_strangers(home: Path) -> None:
    words = "export --checkpoint checkpoints/pre --data data/mine --name strict --cold-user error"
    ncf(*words.split(), cwd=home)
    line = refused("recommend", "--bundle", "model_store/strict", "--user", "x", cwd=home)
    assert "unknown user 'x'" in line


def test_export_says_what_screen_there_is_and_leaves_it_out_where_told_to(home: Path) -> None:
    words = "export --checkpoint checkpoints/pre --data data/mine --out plain --json"
    small = json.loads(ncf(*words.split(), cwd=home).stdout)["screen"]
    assert small == "none: exact ranking takes too little work here for a screen to be faster"
    told = json.loads(ncf(*words.split(), "--no-screen", cwd=home).stdout)["screen"]
    assert told == "none: not asked for"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, tmp_path: Path) -> None:
    text = ncf(*command.split(), "--help", cwd=tmp_path).stdout
    assert f"Example: ncf {command}" in " ".join(text.split())


def test_help_lists_every_command(tmp_path: Path) -> None:
    groups = [(), ("data",), ("batch",)]
    text = "".join(ncf(*group, "--help", cwd=tmp_path).stdout for group in groups)
    assert all(re.search(rf"^  {name.split()[-1]} ", text, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("trian", "No such command 'trian'"),
        ("train --modle gmf", "No such option: --modle"),
        ("train --data d --model svd --out c", "'svd'"),
        ("train --model gmf --out c", "--data"),
        ("data prepare --out d", "--dataset or --ratings"),
        ("data prepare --ratings none.csv --format csv --out d", "none.csv: no such file"),
        ("data prepare --ratings r --out d", "r: no such file"),
        ("data prepare --ratings r --format ncf --split random --out d", "--split"),
        ("data prepare --ratings r --format csv --test-ratio 2 --out d", "--test-ratio 2"),
        ("data fetch ml-25m", "known are ml-100k"),
        ("train --data none --model gmf --out c", "none: not a prepared data"),
        ("train --data d --model gmf --out c --config none.toml", "none.toml: no such file"),
        ("train --data d --model gmf --out c --gmf x", "--model neumf-pre"),
        ("evaluate --checkpoint none --data none", "none: not a checkpoint"),
        ("evaluate --checkpoint none --data none -k x", "valid int"),
        ("compare none --data none", "none: not a checkpoint"),
        ("compare --data none", "checkpoints"),
        ("compare none --data none -k 0", "-k 0 is less than 1"),
        ("similar --bundle none --item 3", "none: not a bundle"),
        ("check ftp://x --user 3", "is not a URL"),
        ("check http://x", "give --user, or --model-store and --name"),
        ("torchserve-config d --model-store none", "none/ncf.mar: no such archive"),
        ("export --checkpoint none --data none --target x", "'x'"),
        ("batch --bundle none", "none: not a bundle"),
        ("batch --bundle none -k 0", "k = 0"),
        ("recommend --bundle none --user 3", "none: not a bundle"),
        ("verify --bundle none", "none: not a bundle"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(words: str, named: str, tmp_path: Path) -> None:
    assert named in refused(*words.split(), cwd=tmp_path)
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


def test_a_bad_ratings_file_names_its_line_and_leaves_the_last_data(home: Path) -> None:
    before = {path: path.read_bytes() for path in (home / "data" / "mine").iterdir()}
    (home / "bad.csv").write_text("user_id,item_id\na,b\na,c,d\n")
    words = ["data", "prepare", "--ratings", "bad.csv", "--format", "csv", "--out", "data/mine"]
    assert "bad.csv:3: 3 fields where 2 belong" in refused(*words, cwd=home)
    assert {path: path.read_bytes() for path in (home / "data" / "mine").iterdir()} == before


def test_a_checkpoint_of_other_data_is_refused_naming_both_digests(home: Path) -> None:
    ncf(*f"{PREPARE} --seed 9 --out data/other".split(), cwd=home)
    for command in ("evaluate", "export"):
        line = refused(command, "--checkpoint", "checkpoints/pre", "--data", "data/other", cwd=home)
        assert re.search(r"trained on data \w{12}, but given data \w{12}", line)
    line = refused("compare", "checkpoints/pre", "--data", "data/other", cwd=home)
    assert re.search(r"pre: trained on data \w{12}, but given data \w{12}", line)


def test_cuda_asked_for_and_missing_is_refused(home: Path) -> None:
    import torch  # noqa: PLC0415 - only to know

    if torch.cuda.is_available():
        pytest.skip("CUDA is here")
    words = [
        "train",
        "--data",
        "data/mine",
        "--model",
        "gmf",
        "--out",
        "checkpoints/g",
        "--device",
        "cuda",
    ]
    assert "CUDA" in refused(*words, cwd=home)
    assert "CUDA" in refused(
        *["batch", "--bundle", "model_store/ncf", "--device", "cuda"], cwd=home
    )


def test_figures_come_as_one_json_object_and_nothing_else(home: Path) -> None:
    words = "batch --bundle model_store/ncf --out other -k 3 --device cpu --json"
    figures = json.loads(ncf(*words.split(), cwd=home).stdout)
    assert (figures["users"], figures["rows"]) == (40, 120)
    findings = json.loads(ncf("doctor", "--json", cwd=home).stdout)["findings"]
    assert all(finding["ok"] or finding["optional"] for finding in findings)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_says_what_it_left_and_goes_on(
    number: signal.Signals, home: Path, tmp_path: Path
) -> None:
    endless = "factors = 4\n[schedule]\nepochs = 100000\npatience = 100000\nbatch_size = 64\n"
    (tmp_path / "endless.toml").write_text(endless)
    out = tmp_path / "c"
    words = ["train", "--data", home / "data/mine", "--model", "gmf", "--out", out]
    command = [*NCF, *map(str, [*words, "--config", tmp_path / "endless.toml"])]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        state = tmp_path / ".c.work/state/state.json"
        deadline = time.monotonic() + 60
        while not state.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    last = errors.strip().splitlines()[-1]
    assert re.search(r"holds the best epoch .* of \d+; go on with --resume$", last)
    ncf("evaluate", "--checkpoint", out, "--data", home / "data/mine", cwd=tmp_path)


def test_a_fault_of_ours_is_exit_1_with_a_traceback(home: Path, tmp_path: Path) -> None:
    code = (
        "import batch.pipeline\ndef broken(*a): raise RuntimeError('boom')\n"
        "batch.pipeline.run_batch = broken\n"
    )
    words = ["batch", "--bundle", str(home / "model_store/ncf"), "--out", str(tmp_path)]
    program = f"{code}import sys\nsys.argv = ['ncf', *{words!r}]\nfrom ncf.cli import main\nmain()"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "RuntimeError: boom" in ended.stderr


def test_output_closed_early_is_no_traceback(home: Path) -> None:
    command = f"{sys.executable} -c 'from ncf.cli import main; main()' doctor --json | head -c 1"
    ended = subprocess.run(
        ["/bin/sh", "-c", command], cwd=home, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ended.stderr


def test_a_folder_of_something_else_is_never_replaced(home: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for words in (
        f"{PREPARE} --out {tmp_path}",
        f"train --data data/mine --model gmf --out {tmp_path}",
        f"export --checkpoint checkpoints/pre --data data/mine --out {tmp_path.parent} --name "
        f"{tmp_path.name}",
        f"{PREPARE} --out {tmp_path / 'thesis.txt'}",
    ):
        assert "choose another output folder" in refused(*words.split(), cwd=home)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
