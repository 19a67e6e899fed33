"""The recall contract: kept, or the table is exact."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.audience import read_audience
from batch.decision import Rankers, Rates, by_time, measured_rates, why_not
from batch.filters import Filters
from batch.job import Job
from batch.options import Mode
from batch.pipeline import run_batch
from batch.published import read_latest
from batch.recall_contract import Contract
from batch.rounds import Found
from batch.runs import open_runs
from batch.verify import verify_run
from ncf.devices import Device
from ncf.errors import ArtifactError, InterruptedWorkError, UsageError
from ncf.proof.audit import PairAudit
from ncf.proof.recall import PairSample, misses_proven
from ncf.scoring.bundle import Bundle
from ncf.scoring.rescorer import Rescorer
from ncf.scoring.screen_manifest import Screen
from ncf.scoring.screened import Calibration, ScreenedRanker

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
    def too_few(self: Calibration, k: int) -> int:
        return k if self.width < 4 else 900

    _trust_every_margin(monkeypatch)
    ranked: list[float] = []
    rank = ScreenedRanker.rank

    def watched(self: ScreenedRanker, *arguments: Any) -> Any:  # noqa: ANN401 - passed on
        ranked.append(self._calibration.width - self._before)
        return rank(self, *arguments)

    monkeypatch.setattr(Calibration, "candidates", too_few)
    monkeypatch.setattr(ScreenedRanker, "rank", watched)
    figures = run_batch(_job(screened_bundle, tmp_path, Mode.SCREENED), NOW)
    assert figures["mode"] == "screened"
    assert figures["recall"]["try"] > 2
    assert open_runs(tmp_path).manifest(figures["run"]).width == 4
    assert ranked == [1, 1, 1, 1, 1, 1, 2, 2, 2]  # each of three parts: what is new alone
    verify_run(figures["table"], screened_bundle.path)


def _trust_every_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScreenedRanker, "backed_by", lambda self, _: self)
    monkeypatch.setattr(Contract, "_most_candidates", lambda _: 1100)


def test_a_screen_that_never_keeps_the_contract_gives_an_exact_table(
    screened_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run_batch(_job(screened_bundle, tmp_path / "exact", Mode.EXACT), NOW)
    monkeypatch.setattr(ScreenedRanker, "candidates", lambda _, k: k)
    _trust_every_margin(monkeypatch)
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
    draw = PairAudit.draw

    def watched(self: PairAudit, *arguments: Any) -> Any:  # noqa: ANN401 - passed on
        sample, missed = draw(self, *arguments)
        found.append(sample)
        return sample, missed

    monkeypatch.setattr(PairAudit, "draw", watched)
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
        assert f"ranking exactly: {words}" in caplog.text


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
        patched.setattr("batch.committing.require_unchanged", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_batch(_job(screened_bundle, tmp_path / "again", Mode.SCREENED), NOW)
    again = run_batch(_job(screened_bundle, tmp_path / "again", Mode.SCREENED), NOW)
    assert again["parts_reused"] == 3
    assert again["recall"] == whole["recall"]


def _contract(bundle: Bundle, job: Job, inputs: dict[str, str] | None = None) -> Contract:
    return Contract(job, read_audience(bundle, Filters()), inputs or {})


def test_the_gate_is_the_bound(screened_bundle: Bundle, tmp_path: Path) -> None:
    job = _job(screened_bundle, tmp_path, Mode.SCREENED)
    for missed in range(12):
        sample = PairSample(50_000.0, missed, 240_000, 2400)
        bound = 1 - misses_proven(missed) / 50_000 * 240_000 / 2400
        for target in (bound - 1e-6, bound + 1e-6):
            if 0 < target < 1:
                contract = _contract(screened_bundle, replace(job, recall=target))
                assert contract.keeps(sample) == (target < bound)


def test_other_inputs_and_rounds_draw_other_pairs_and_the_same_ones_again(
    screened_bundle: Bundle, tmp_path: Path
) -> None:
    job = _job(screened_bundle, tmp_path, Mode.SCREENED)

    def seeds(inputs: dict[str, str]) -> list[int]:
        contract = _contract(screened_bundle, job, inputs)
        rounds = contract.begin()
        later = contract.after(rounds, PairSample(20_000, 2, 240_000, 2400))
        assert later is not None
        return [each.seed for each in later]

    monday, tuesday = seeds({"seen": "1"}), seeds({"seen": "2"})
    assert len({*monday, *tuesday}) == 4
    assert seeds({"seen": "1"}) == monday


def test_the_first_audit_is_sized_by_what_calibration_missed(
    screened_bundle: Bundle, tmp_path: Path
) -> None:
    screen = screened_bundle.manifest.screen
    assert isinstance(screen, Screen)

    def size(missed: int | None, recall: float) -> float:
        lists = tuple(
            replace(each, missed=missed, entries=missed and 10_000, recall=recall)
            for each in screen.by_k
        )
        manifest = replace(screened_bundle.manifest, screen=replace(screen, by_k=lists))
        job = Job(screened_bundle.path, tmp_path, 10, Device.CPU, recall=0.9)
        (first,) = _contract(replace(screened_bundle, manifest=manifest), job).begin()
        return first.each

    # Rates of 1 % and 3 % of what a recall of 0.9 allows, so one miss and two are allowed for.
    assert size(10, 0.999) == pytest.approx(misses_proven(1) / 240_000 * 1e6 / 1.0 / 1.0, rel=0.05)
    assert size(60, 0.994) > size(10, 0.999)
    assert size(None, 1.0) >= size(10, 0.999)  # a bundle of an earlier version, few users


def test_misses_in_proportion_draw_more_pairs_and_too_many_take_more_candidates(
    screened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Contract, "_most_candidates", lambda _: 1100)
    contract = _contract(screened_bundle, _job(screened_bundle, tmp_path, Mode.SCREENED))
    rounds = contract.begin()
    some = contract.after(rounds, PairSample(20_000, 2, 240_000, 2400))  # 10 are at the target
    many = contract.after(rounds, PairSample(20_000, 12, 240_000, 2400))
    assert some is not None
    assert many is not None
    assert (some[-1].width, some[-1].each > 0) == (1, True)
    assert (many[-1].width, many[-1].each) == (2, 0)
    assert contract.after((*rounds, replace(rounds[0], width=8)), PairSample(1, 1, 9, 9)) is None


def test_a_batch_that_died_between_rounds_ends_in_the_same_bytes(
    screened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_few(self: Calibration, k: int) -> int:
        return k if self.width < 4 else 900

    monkeypatch.setattr(Calibration, "candidates", too_few)
    _trust_every_margin(monkeypatch)
    whole = run_batch(_job(screened_bundle, tmp_path / "whole", Mode.SCREENED), NOW)
    for turn, dies_at in enumerate((2, 2, 1)):
        content = Found.content
        calls = iter(range(100))

        def dies(self: Found) -> bytes:
            if next(calls) == dies_at:  # noqa: B023 - called within this turn
                raise KeyboardInterrupt
            return content(self)  # noqa: B023

        job = _job(screened_bundle, tmp_path / "again", Mode.SCREENED)
        with monkeypatch.context() as patched:
            patched.setattr(Found, "content", dies)
            with pytest.raises(InterruptedWorkError):
                run_batch(job, NOW)
        if turn == 1:  # a damaged file of the rounds is made again
            damaged = next((tmp_path / "again").rglob("found/*.npz"))
            damaged.write_bytes(damaged.read_bytes()[:100])
    again = run_batch(job, NOW)
    assert again["recall"] == whole["recall"]
    parts = [sorted(Path(each["table"]).glob("part-*")) for each in (whole, again)]
    assert [p.read_bytes() for p in parts[0]] == [p.read_bytes() for p in parts[1]]


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
    assert "is under 0.9" in why_not(job, audience, Device.CPU)


FAST = Rates(exact=1e-3, screened=4e-5, pair=1e-7)
SLOW = Rates(exact=1e-3, screened=9.9e-4, pair=1e-6)


def _measuring(monkeypatch: pytest.MonkeyPatch, rates: Rates) -> None:
    monkeypatch.setattr("batch.decision.measured_rates", lambda *_: rates)


@pytest.mark.parametrize(("rates", "mode"), [(FAST, "screened"), (SLOW, "exact")])
def test_auto_decides_by_the_seconds_that_it_measures(
    rates: Rates,
    mode: str,
    screened_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _measuring(monkeypatch, rates)
    figures = run_batch(_job(screened_bundle, tmp_path, Mode.AUTO), NOW)
    assert figures["mode"] == figures["decision"]["mode"] == mode
    estimates = figures["decision"]
    assert (estimates["screened_seconds"] < estimates["exact_seconds"]) == (mode == "screened")


@settings(max_examples=200)
@given(
    exact=st.floats(1e-6, 1),
    screened=st.floats(1e-7, 1),
    pair=st.floats(1e-9, 1e-4),
    users=st.integers(1, 10**7),
    each=st.floats(0, 1e5),
)
def test_what_is_decided_is_never_estimated_to_be_slower_than_exact(
    exact: float, screened: float, pair: float, users: int, each: float
) -> None:
    found = by_time(Rates(exact, screened, pair), users, each, 2)
    total = screened + each * pair
    if found.mode is Mode.SCREENED:
        assert total < exact
    if total < 0.85 * exact:
        assert found.mode is Mode.SCREENED


def test_an_unfinished_run_keeps_its_decision_whatever_is_measured_later(
    screened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first, then in ((FAST, SLOW), (SLOW, FAST)):
        out = tmp_path / str(first.screened)
        whole = _with_rates(screened_bundle, tmp_path / "whole", monkeypatch, first)
        with monkeypatch.context() as patched:
            patched.setattr("batch.committing.require_unchanged", lambda *_: 1 / 0)
            _measuring(patched, first)
            with pytest.raises(ZeroDivisionError):
                run_batch(_job(screened_bundle, out, Mode.AUTO), NOW)
        again = _with_rates(screened_bundle, out, monkeypatch, then)
        assert again["mode"] == whole["mode"]
        assert again["parts_reused"] == 3


def _with_rates(
    bundle: Bundle,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    rates: Rates,
    like: str | None = None,
) -> dict[str, Any]:
    with monkeypatch.context() as patched:
        _measuring(patched, rates)
        return run_batch(_job(bundle, out, Mode.AUTO, like=like), NOW)


def test_a_run_like_another_has_its_bytes_whatever_this_machine_measures(
    screened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rates, other in ((FAST, SLOW), (SLOW, FAST)):
        first = _with_rates(screened_bundle, tmp_path / "a", monkeypatch, rates)
        like = _with_rates(screened_bundle, tmp_path / "b", monkeypatch, other, like=first["table"])
        assert like["mode"] == first["mode"]
        parts = [sorted(Path(each["table"]).glob("part-*")) for each in (first, like)]
        assert [p.read_bytes() for p in parts[0]] == [p.read_bytes() for p in parts[1]]


def test_like_needs_a_run_and_a_free_choice(screened_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="run none is not here"):
        run_batch(_job(screened_bundle, tmp_path, Mode.AUTO, like=str(tmp_path / "none")), NOW)
    with pytest.raises(UsageError, match="says twice how to rank"):
        _job(screened_bundle, tmp_path, Mode.EXACT, like="topk/run")


def test_rates_are_measured_on_the_runs_own_graphs(screened_bundle: Bundle, tmp_path: Path) -> None:
    audience = read_audience(screened_bundle, Filters())
    job = _job(screened_bundle, tmp_path, Mode.AUTO)
    rates = measured_rates(Rankers.open(job, audience), audience, 10, 30.0)
    assert 0 < rates.screened < 1
    assert 0 < rates.pair < rates.exact < 1
