"""Describe a bundle for ``bundle.json``: sizes, figures, origin."""

import os
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata

import numpy as np

from export.source import Source
from ncf.errors import UsageError
from ncf.evaluation.protocols import sampled
from ncf.graphs.tower import row_width
from ncf.models.scorer import group_scorer
from ncf.scoring.fold_in_manifest import FoldInFacts, NoFoldIn
from ncf.scoring.manifest import BundleManifest, BundleMetrics, Model, Provenance, SampledMetrics
from ncf.scoring.onnx_runtime import ort
from ncf.scoring.screen_manifest import NoScreen, Screen

_TEST_CASES = 10_000


def described(
    source: Source, interactions: int, screen: Screen | NoScreen, fold_in: FoldInFacts | NoFoldIn
) -> BundleManifest:
    """Describe a bundle whose parity is not measured yet."""
    checkpoint, data = source.checkpoint, source.data
    architecture = checkpoint.architecture
    return BundleManifest(
        model=Model(
            kind=architecture.kind.value,
            n_users=architecture.n_users,
            n_items=architecture.n_items,
            factors=architecture.factors,
            gmf_factors=architecture.gmf_width,
            layers=architecture.layers,
            row_width=row_width(checkpoint.weights),
            interactions=interactions,
        ),
        cold_user=source.cold_user,
        parity={},
        screen=screen,
        metrics=BundleMetrics(checkpoint.manifest.validation, _test_metrics(source)),
        provenance=Provenance(
            checkpoint=checkpoint.digest,
            checkpoint_files=checkpoint.manifest.files,
            variant=checkpoint.manifest.variant,
            data=data.digest,
            data_files=data.manifest.files,
            source=data.manifest.source,
            versions=_versions(),
            created=_created(),
        ),
        fold_in=fold_in,
    )


def _test_metrics(source: Source) -> SampledMetrics | None:
    """Figures of up to 10,000 test cases, by the sampled protocol; None where there is none.

    Cold users are left out: the model does not rank for them.
    """
    test = source.data.test
    rows = np.random.default_rng(0).permutation(len(test.positives))
    rows = rows[source.data.trained()[test.positives.users[rows]]][:_TEST_CASES]
    if not rows.size:
        return None
    rows.sort()
    found = sampled(group_scorer(source.checkpoint.model()), test.take(rows), 10)
    return SampledMetrics(**asdict(found))


def _versions() -> dict[str, str]:
    versions = {name: metadata.version(name) for name in ("ncf", "torch", "onnx", "numpy")}
    return {**versions, "onnxruntime": ort.__version__}


def _created() -> str | None:
    """Take the time from SOURCE_DATE_EPOCH, or none, so that equal inputs give equal bytes."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return None
    try:
        return datetime.fromtimestamp(int(given), UTC).isoformat()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"SOURCE_DATE_EPOCH={given!r} is not Unix seconds") from error
