"""Write a short model card from the bundle's manifest."""

from ncf.policies import ColdUser
from ncf.scoring.manifest import BundleManifest, BundleMetrics, Model
from ncf.scoring.screen_manifest import NoScreen, Screen

_CARD = """\
# Model card: {name}

A {kind} recommender ({size}) after He et al., "Neural
collaborative filtering", WWW 2017, exported as ONNX.

| | |
| --- | --- |
| users | {n_users:,} |
| items | {n_items:,} |
| known interactions | {interactions:,} |
| weights | {weights} |
| source | {source} |
| data digest | `{data}` |
| checkpoint digest | `{checkpoint}` |
| created | {created} |

## Metrics

{measured}

{metrics}

Sampled figures rank each held-out item against sampled unseen items; they are not comparable
with figures over the whole catalogue. The validation part chose the epoch, never the test part.

## Screened ranking

{screen}

## Recipe

```json
{recipe}
```

## Intended use

Ranking the items of this catalogue for the users listed in `users.parquet`, items they have
interacted with left out. Users who are not listed get {cold}.

## Limits

- It knows no user or item that the {known} did not hold, and nothing that happened since.
- Scores are logits of one model: they order items for one user, and are not probabilities.
- It learns from who interacted with what: popular items are favoured, biases of the data remain.
"""


_WEIGHTS = {
    "product": "trained on all known interactions",
    "honest": "trained without what was held out for evaluation",
}
_MEASURED = {
    "product": (
        "Of the honest weights, which never saw what was held out. The exported weights were\n"
        "trained once more, by the same recipe and for as long, on everything; they cannot be\n"
        "measured on rows that they saw."
    ),
    "honest": "Of the exported weights, which never saw what was held out.",
}


def model_card(name: str, manifest: BundleManifest, recipe: str) -> str:
    """Write the card as Markdown.

    Parameters
    ----------
    name : str
        Of the bundle.
    manifest : BundleManifest
        The bundle's manifest, not sealed yet.
    recipe : str
        The checkpoint's recipe as JSON.
    """
    provenance, model = manifest.provenance, manifest.model
    tower = "" if model.kind == "gmf" else f", {model.layers} tower layers"
    cold = "an error" if manifest.cold_user is ColdUser.ERROR else "the most popular items"
    return _CARD.format(
        name=name,
        kind=model.kind,
        n_users=model.n_users,
        n_items=model.n_items,
        size=f"{_factors(model)}{tower}",
        interactions=model.interactions,
        weights=_WEIGHTS[model.weights or "honest"],
        measured=_MEASURED[model.weights or "honest"],
        known="data" if model.weights == "product" else "training part",
        source=", ".join(sorted(provenance.source)),
        data=provenance.data,
        checkpoint=provenance.checkpoint,
        created=provenance.created or "not recorded (SOURCE_DATE_EPOCH was not set)",
        metrics=_metrics(manifest.metrics),
        screen=_screen(manifest.screen),
        recipe=recipe,
        cold=cold,
    )


def _factors(model: Model) -> str:
    if model.kind == "gmf" or model.factors == model.gmf_factors:
        return f"{model.gmf_factors} factors"
    if model.kind == "mlp":
        return f"{model.factors} factors"
    return f"{model.gmf_factors} GMF and {model.factors} MLP factors"


def _metrics(metrics: BundleMetrics) -> str:
    lines = []
    validation, test = metrics.validation, metrics.test
    if validation.hr is not None and validation.ndcg is not None:
        figures = f"HR@10 {validation.hr:.4f}, NDCG@10 {validation.ndcg:.4f}"
        lines.append(f"- validation, sampled: {figures}")
    if test:
        hr = f"HR@10 {test.hr:.4f} ± {test.hr_se:.4f}"
        ndcg = f"NDCG@10 {test.ndcg:.4f} ± {test.ndcg_se:.4f}"
        lines.append(f"- test, sampled, {test.cases:,} cases: {hr}, {ndcg} (standard errors)")
    return "\n".join(lines) or "None recorded."


def _screen(screen: Screen | NoScreen) -> str:
    if isinstance(screen, NoScreen):
        return f"None: {screen.reason}."
    intro = (
        f"A guess of rank {screen.rank}, fitted on {screen.users.fit} users. Recall of the exact "
        f"lists of {screen.users.held_out} held-out users, and its one-sided 95 % lower bound:"
    )
    lines = [
        f"- K = {each.k}: {each.candidates} candidates, recall {each.recall:.4f} "
        f"(bound {each.recall_bound:.4f})"
        for each in screen.by_k
    ]
    return "\n".join([intro, "", *lines])
