"""The recall contract: kept, or the table is exact."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import gammaincinv

from batch.audience import read_audience
from batch.filters import Filters
from batch.job import Job
from batch.options import Mode
from batch.pipeline import run_batch
from batch.published import read_latest
from batch.recall_contract import TRIES, attempts
from batch.runs import open_runs
from batch.verify import verify_run
from ncf.devices import Device
from ncf.errors import UsageError
from ncf.proof.audit import PairAudit
from ncf.proof.recall import PairSample
from ncf.scoring.bundle import Bundle
from ncf.scoring.screen_manifest import Screen
from ncf.scoring.screened import Rescorer, ScreenedRanker

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def _job(bundle: Bundle, out: Path, mode: Mode, **more: Any) -> Job:  # noqa: ANN401 - options of a job
    return Job(bundle.path, out, 10, Device.CPU, 100, mode=mode, recall=0.95, **more)


def test_a_screened_table_proves_its_recall_and_scores_exactly(
    screened_bundle: Bundle, tmp_path: Path
) -> None:
    figures = run_batch(_job(screened_bundle, tmp_path / "s", Mode.SCREENED), NOW)
    exact = run_batch(_job(screened_bundle, tmp_path / "e", Mode.EXACT), NOW)
    assert (figures["mode"], exact["mode"]) == ("screened", "exact")
    assert "recall" not in exact
    proof = figures["recall"]
    assert proof["target"] == 0.95 <= proof["lower_bound"] <= proof["estimate"] <= 1
    assert proof["listed"] == figures["rows"] == exact["rows"]
    assert proof["population"] == 240 * 1000
    verify_run(figures["table"], screened_bundle.path)
    screened, whole = read_latest(tmp_path / "s"), read_latest(tmp_path / "e")
    both = screened.merge(whole, on=["user_id", "item_id"])
    assert len(both) / len(whole) >= 0.95
    np.testing.assert_allclose(both.score_x, both.score_y, atol=1e-5)


def test_a_screened_table_has_the_same_bytes_whatever_the_workers(
    screened_bundle: Bundle, tmp_path: Path
) -> None:
    tables = [
        Path(run_batch(_job(screened_bundle, tmp_path, Mode.SCREENED, workers=count), NOW)["table"])
        for count in (1, 3)
    ]
    parts = [{p.name: p.read_bytes() for p in table.glob("part-*")} for table in tables]
    assert parts[0] == parts[1]
    proofs = [open_runs(tmp_path).manifest(table.name).recall for table in tables]
    assert proofs[0] == proofs[1]


def test_a_screen_that_misses_is_widened_until_the_contract_is_kept(
    screened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_few(self: ScreenedRanker, k: int) -> int:
        return k if self._calibration.width < 4 else 900

    monkeypatch.setattr(ScreenedRanker, "candidates", too_few)
    figures = run_batch(_job(screened_bundle, tmp_path, Mode.SCREENED), NOW)
    assert figures["mode"] == "screened"
    assert figures["recall"]["candidates"] == 900
    assert open_runs(tmp_path).manifest(figures["run"]).width == 4
    verify_run(figures["table"], screened_bundle.path)


def test_a_screen_that_never_keeps_the_contract_gives_an_exact_table(
    screened_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run_batch(_job(screened_bundle, tmp_path / "exact", Mode.EXACT), NOW)
    monkeypatch.setattr(ScreenedRanker, "candidates", lambda _, k: k)
    figures = run_batch(_job(screened_bundle, tmp_path / "other", Mode.SCREENED), NOW)
    assert figures["mode"] == "exact"
    assert "ranking exactly instead" in caplog.text
    pd.testing.assert_frame_equal(read_latest(tmp_path / "exact"), read_latest(tmp_path / "other"))


def test_the_audit_counts_fresh_interactions_and_withdrawn_items_as_no_miss(
    screened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = _best(screened_bundle, tmp_path / "first")
    best = table[table["rank"] == 1]
    best[["user_id", "item_id"]].to_csv(tmp_path / "seen.csv", index=False)
    common = table.item_id.value_counts().index[:30]
    pd.DataFrame({"item_id": common}).to_csv(tmp_path / "out.csv", index=False)
    filters = Filters(seen=tmp_path / "seen.csv", exclude_items=tmp_path / "out.csv")
    found: list[PairSample] = []
    audit = PairAudit.__call__

    def watched(self: PairAudit, *arguments: Any) -> PairSample:  # noqa: ANN401 - passed on
        found.append(audit(self, *arguments))
        return found[-1]

    monkeypatch.setattr(PairAudit, "__call__", watched)
    # Every item is a candidate: nothing can be missed.
    monkeypatch.setattr(ScreenedRanker, "candidates", lambda *_: 1000)
    figures = run_batch(
        _job(screened_bundle, tmp_path / "topk", Mode.SCREENED, filters=filters), NOW
    )
    verify_run(figures["table"], screened_bundle.path, filters)
    assert figures["recall"]["missed"] == sum(each.missed for each in found) == 0


def _best(bundle: Bundle, out: Path) -> pd.DataFrame:
    run_batch(_job(bundle, out, Mode.EXACT), NOW)
    return read_latest(out)


def test_auto_says_why_it_ranks_exactly(
    screened_bundle: Bundle,
    bundle: Bundle,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    for each, k, words in (
        (bundle, 10, "the bundle has no screen"),
        (screened_bundle, 500, "the screen is not calibrated for k = 500"),
        (screened_bundle, 10, "for so few users or items the proof would cost as much as it saves"),
    ):
        job = Job(each.path, tmp_path, k, Device.CPU, recall=0.999)
        assert run_batch(job, NOW)["mode"] == "exact"
        assert f"ranking exactly: {words}" in caplog.messages[-2]


def test_auto_screens_where_it_pays(screened_bundle: Bundle, tmp_path: Path) -> None:
    job = Job(screened_bundle.path, tmp_path, 10, Device.CPU, recall=0.9)
    assert run_batch(job, NOW)["mode"] == "screened"


@pytest.mark.parametrize("k", [10, 500])
def test_a_screen_asked_for_where_there_is_none_is_refused(
    k: int, bundle: Bundle, screened_bundle: Bundle, tmp_path: Path
) -> None:
    given = bundle if k == 10 else screened_bundle
    with pytest.raises(UsageError, match=r'`mode="screened"`: .*; use `mode="exact"`, or auto'):
        run_batch(Job(given.path, tmp_path, k, Device.CPU, mode=Mode.SCREENED), NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_screened_run_proves_the_same(
    screened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_batch(_job(screened_bundle, tmp_path / "whole", Mode.SCREENED), NOW)
    with monkeypatch.context() as patched:
        patched.setattr("batch.pipeline.require_unchanged", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_batch(_job(screened_bundle, tmp_path / "again", Mode.SCREENED), NOW)
    again = run_batch(_job(screened_bundle, tmp_path / "again", Mode.SCREENED), NOW)
    assert again["parts_reused"] == 3
    assert again["recall"] == whole["recall"]


def test_the_gate_is_the_bound_of_its_own_try(screened_bundle: Bundle, tmp_path: Path) -> None:
    job = _job(screened_bundle, tmp_path, Mode.SCREENED)
    audience = read_audience(screened_bundle, Filters())
    first = next(attempts(job, audience, {}))
    drawn, listed = 50_000.0, 2400
    for missed in range(12):
        sample = PairSample(drawn, missed, 240_000, listed)
        misses = float(gammaincinv(missed + 1, 1 - TRIES[0].doubt))
        bound = 1 - misses / drawn * 240_000 / listed
        for target in (bound - 1e-6, bound + 1e-6):
            assert replace(first, target=target).keeps(sample) == (target < bound)


def test_other_inputs_and_tries_draw_other_pairs_and_the_same_ones_again(
    screened_bundle: Bundle, tmp_path: Path
) -> None:
    job = _job(screened_bundle, tmp_path, Mode.SCREENED)
    audience = read_audience(screened_bundle, Filters())

    def seeds(inputs: dict[str, str]) -> list[int]:
        return [each.audit.seed for each in attempts(job, audience, inputs) if each.audit]

    monday, tuesday = seeds({"seen": "1"}), seeds({"seen": "2"})
    assert len({*monday, *tuesday}) == 2 * len(TRIES)
    assert seeds({"seen": "1"}) == monday


def test_blocks_of_a_shard_are_audited_against_their_own_lists_with_their_own_pairs(
    screened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch.parts._AUDITED_USERS", 7)
    drawn: list[bytes] = []
    score = Rescorer.score

    def watched(self: Rescorer, users: Any, items: Any) -> Any:  # noqa: ANN401 - passed on
        drawn.append(np.asarray(items[:7]).tobytes())
        return score(self, users, items)

    monkeypatch.setattr(Rescorer, "score", watched)
    monkeypatch.setattr(ScreenedRanker, "candidates", lambda *_: 1000)  # nothing can be missed
    figures = run_batch(_job(screened_bundle, tmp_path, Mode.SCREENED), NOW)
    assert (figures["recall"]["missed"], figures["recall"]["try"]) == (0, 1)
    assert len(set(drawn)) == len(drawn) >= 240 / 7


def test_a_proof_that_costs_more_than_it_saves_is_not_begun(
    screened_bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "users.csv").write_text("user_id\nu1\n")
    for filters, recall in ((Filters(users=tmp_path / "users.csv"), 0.95), (Filters(), 0.9999)):
        job = Job(
            screened_bundle.path,
            tmp_path / "topk",
            10,
            Device.CPU,
            filters=filters,
            mode=Mode.SCREENED,
            recall=recall,
        )
        assert run_batch(job, NOW)["mode"] == "exact"
    assert "costs as much as it saves" in caplog.text


def test_auto_ranks_exactly_where_the_calibration_is_under_the_contract(
    screened_bundle: Bundle, tmp_path: Path
) -> None:
    job = Job(screened_bundle.path, tmp_path, 10, Device.CPU, recall=0.9)
    screen = screened_bundle.manifest.screen
    assert isinstance(screen, Screen)
    lists = tuple(replace(each, recall=0.85) for each in screen.by_k)
    poor = replace(screened_bundle.manifest, screen=replace(screen, by_k=lists))
    audience = read_audience(replace(screened_bundle, manifest=poor), Filters())
    (only,) = attempts(job, audience, {})
    assert only.audit is None


def test_trying_again_does_not_weaken_the_contract() -> None:
    assert sum(each.doubt for each in TRIES) == pytest.approx(0.05)
