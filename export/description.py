"""Describe a bundle for ``bundle.json``: sizes, figures, origin."""

from dataclasses import asdict
from typing import Literal, cast

import numpy as np

from export.provenance import created, versions
from export.source import Source
from ncf.evaluation.protocols import sampled
from ncf.graphs.tower import row_width
from ncf.models.scorer import group_scorer
from ncf.scoring.fold_in_manifest import FoldInFacts, NoFoldIn
from ncf.scoring.manifest import BundleManifest, BundleMetrics, Model, Provenance, SampledMetrics
from ncf.scoring.screen_manifest import NoScreen, Screen

_TEST_CASES = 10_000


def described(
    source: Source, interactions: int, screen: Screen | NoScreen, fold_in: FoldInFacts | NoFoldIn
) -> BundleManifest:
    """Describe a bundle whose parity is not measured yet."""
    checkpoint, data = source.exported, source.data
    architecture = checkpoint.architecture
    return BundleManifest(
        model=Model(
            kind=cast("Literal['gmf', 'mlp', 'neumf']", architecture.kind.value),
            n_users=architecture.n_users,
            n_items=architecture.n_items,
            factors=architecture.factors,
            gmf_factors=architecture.gmf_width,
            layers=architecture.layers,
            row_width=row_width(checkpoint.weights),
            interactions=interactions,
            weights="product" if checkpoint.saw_all else "honest",
        ),
        cold_user=source.cold_user,
        parity={},
        screen=screen,
        metrics=BundleMetrics(checkpoint.manifest.validation, _test_metrics(source), "honest"),
        provenance=Provenance(
            checkpoint=checkpoint.digest,
            checkpoint_files=checkpoint.manifest.files,
            variant=checkpoint.manifest.variant,
            data=data.digest,
            data_files=data.manifest.files,
            source=data.manifest.source,
            versions=versions(),
            created=created(),
        ),
        fold_in=fold_in,
    )


def _test_metrics(source: Source) -> SampledMetrics | None:
    """Honest figures of up to 10,000 test cases, by the sampled protocol; None where there is none.

    Users whom the honest weights do not know are left out: no model ranks for them.
    """
    test = source.data.test
    if not (source.data.has_negatives and source.checkpoint.has_figures):
        return None
    rows = np.random.default_rng(0).permutation(len(test.positives))
    rows = rows[source.data.trained()[test.positives.users[rows]]][:_TEST_CASES]
    if not rows.size:
        return None
    rows.sort()
    found = sampled(group_scorer(source.checkpoint.model()), test.take(rows), 10)
    return SampledMetrics(**asdict(found))
