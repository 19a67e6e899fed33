"""End what every way to make a bundle ends with: prove its graphs, describe it, and seal it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from export.golden_requests import golden_content
from export.model_card import model_card
from export.screen.assembly import summary
from ncf.artifacts import seal
from ncf.proof.bundle_parity import (
    require_fold_in_parity,
    require_pair_parity,
    require_topk_parity,
)
from ncf.proof.reference import PairScorer
from ncf.records import json_values
from ncf.scoring import bundle as files
from ncf.scoring.manifest import BUNDLE, BundleManifest


def prove_and_seal(  # noqa: PLR0913, PLR0917 - all that a bundle is made of
    folder: Path,
    name: str,
    manifest: BundleManifest,
    score: PairScorer,
    recipe: str,
    said: Mapping[str, Any],
) -> dict[str, Any]:
    """Prove the graphs of a folder, write golden requests and model card, and seal it.

    Parameters
    ----------
    folder : Path
        All other files of the bundle.
    name : str
        Name of the model.
    manifest : BundleManifest
        Without what is found here.
    score : PairScorer
        What the graphs must agree with.
    recipe : str
        Recipe of the training, for the card.
    said : mapping
        What else to tell people.

    Returns
    -------
    dict
        Largest difference by graph, ``screen`` in a line, what was ``said``, and the ``digest``.

    Raises
    ------
    ParityError
        A graph differs.
    """
    unsealed = files.Bundle(folder, manifest)
    sizes = (manifest.model.n_users, manifest.model.n_items)
    parity = {
        files.SCORE_GRAPH: require_pair_parity(folder / files.SCORE_GRAPH, sizes, score),
        **require_topk_parity(unsealed, score),
        **require_fold_in_parity(unsealed),
    }
    manifest = replace(manifest, parity=parity)
    (folder / files.GOLDEN_FILE).write_bytes(golden_content(unsealed))
    (folder / files.CARD_FILE).write_text(model_card(name, manifest, recipe), encoding="utf-8")
    digest = seal(folder, BUNDLE, json_values(manifest))
    differences = {each: report.max_difference for each, report in parity.items()}
    return {**differences, "screen": summary(manifest.screen), **said, "digest": digest}
