"""Every graph form on the device against the pair graph on the CPU; what TF32 costs in ranks."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.gpu.part import Record, Settings, require
from benchmarks.gpu.worlds import names
from ncf.devices import Device
from ncf.errors import NcfError

_K = 10
_USERS = 2000


def run(settings: Settings, record: Record) -> None:
    """Compare logits, ranks and masks; differences beyond the tolerance fail the part."""
    require("onnxruntime")
    failures = []
    for name in names(settings.worlds):
        folder = settings.worlds / name
        for graph, tf32, found in _compared(folder, settings.device):
            problem = found.pop("problem", "")
            record.add(f"{name}: {graph}{', TF32' if tf32 else ''}", **found, problem=problem)
            if problem and not tf32:
                failures.append(f"{name}: {graph}: {problem}")
    if failures:
        raise AssertionError("; ".join(map(str, failures)))


def _compared(folder: Path, device: Device) -> Iterator[tuple[str, bool, dict[str, object]]]:
    from ncf.proof.parity import compare, compare_rescored, compare_screen, compare_topk
    from ncf.proof.reference import graph_scorer, reference
    from ncf.scoring.bundle import open_bundle
    from ncf.scoring.exact import ExactRanker
    from ncf.scoring.rescorer import Rescorer
    from ncf.scoring.screened import Calibration, ScreenedRanker
    from ncf.scoring.sessions import CudaOptions, open_cpu, open_cuda

    bundle = open_bundle(folder / "ncf")
    exact = graph_scorer(open_cpu(bundle.score_graph))
    expected = reference(bundle, exact)
    users = np.arange(min(_USERS, bundle.n_users))
    on_cpu = ExactRanker.open(bundle).rank(users, _K)
    rng = np.random.default_rng(1)
    pairs = [rng.integers(0, size, 20_000) for size in (bundle.n_users, bundle.n_items)]
    for tf32 in (False, True) if device is Device.CUDA else (False,):
        options = CudaOptions(tf32=tf32)

        def opened(graph: Path, options: CudaOptions = options):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a session
            return open_cuda(graph, 0, options) if device is Device.CUDA else open_cpu(graph)

        score = graph_scorer(opened(bundle.score_graph))
        yield "score", tf32, _tried(lambda s=score: compare("score", s(*pairs), exact(*pairs)))
        session = opened(bundle.path / "topk.cuda.onnx")
        ranker = ExactRanker(session, bundle.user_rows, bundle.eligibility, Device.CUDA)
        found = _tried(lambda r=ranker: compare_topk("topk.cuda", r, expected))
        yield "topk.cuda", tf32, found | _changes(ranker.rank(users, _K), on_cpu)
        if Calibration.of(bundle).find(_K):
            session, rows = opened(bundle.path / "screen.onnx"), bundle.user_rows
            calibration = Calibration.of(bundle)
            screen = ScreenedRanker(session, rows, bundle.eligibility, calibration)
            top = screen.rank(expected.users, _K)
            yield "screen", tf32, _tried(lambda t=top: compare_screen("screen", t, expected))
            rescorer = Rescorer(opened(bundle.path / "rescore.onnx"), rows, bundle.n_items)
            found = _tried(lambda r=rescorer: compare_rescored("rescore", r.score, expected))
            yield "rescore", tf32, found


def _tried(compare) -> dict[str, object]:  # type: ignore[no-untyped-def]  # noqa: ANN001 - any comparison
    try:
        found = compare()
    except NcfError as error:
        return {"problem": str(error)}
    return {"largest_difference": found.max_difference, "tolerance": found.tolerance}


def _changes(top, on_cpu) -> dict[str, object]:  # type: ignore[no-untyped-def]  # noqa: ANN001 - two TopK
    """Shares of users whose list of ten holds other items, or the same in another order."""
    same = (top.items == on_cpu.items).all(axis=1)
    alike = (np.sort(top.items, axis=1) == np.sort(on_cpu.items, axis=1)).all(axis=1)
    valid = top.valid() & on_cpu.valid()
    gap = np.abs(top.scores - on_cpu.scores)[valid].max(initial=0.0)
    return {
        "users_with_other_items": round(float(1 - alike.mean()), 5),
        "users_in_another_order": round(float(1 - same.mean()), 5),
        "largest_gap_at_a_rank": float(gap),
    }
