"""Write a short model card from the bundle's manifest."""

import re

from ncf.policies import ColdUser
from ncf.scoring.fold_in_manifest import FoldInFacts, NoFoldIn, Promise
from ncf.scoring.manifest import BundleManifest, BundleMetrics, Model, NewItems
from ncf.scoring.screen_manifest import NoScreen, Screen

_NETWORK = """\
A {kind} recommender ({size}) after He et al., "Neural
collaborative filtering", WWW 2017, exported as ONNX."""
_WHAT = {
    "ials": """\
Rows of users and items by iALS ({size}; Rendle et al., RecSys 2022), a simple model,
exported as ONNX. A score is near 1 for what a user would take, and near 0 else: no logit.""",
    "popular": """\
The items by popularity, the same for all users, a simple model, exported as ONNX. A score is
the share of users who have the item: no logit.""",
}
_CARD = """\
# Model card: {name}

{what}

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

## Users whom the model does not know

{fold_in}

{new_items}## Recipe

```json
{recipe}
```

## Intended use

Ranking the items of this catalogue for the users listed in `users.parquet`, items they have
interacted with left out. {strangers}

## Limits

- It knows no item that the {known} did not hold.{since}
- Scores are logits of one model: they order items for one user, and are not probabilities.
- It learns from who interacted with what: popular items are favoured, biases of the data remain.
"""

_PROMISE = """NDCG@10, by protocol and length of history:

| protocol | history | users | popular | folded in | trained | stated loss |
| --- | --- | --- | --- | --- | --- | --- |"""
_HONEST = """\
The users of these figures were left out of the fit of the map, but the items knew them. So the
stated loss against a trained row is a quarter more than the measured one; the loss of whole
histories comes on top, and a share of the trained figure: that of one pair in an item's pairs
(± a standard error)."""


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
    folds = manifest.fold_in if isinstance(manifest.fold_in, FoldInFacts) else None
    strangers = f"Users who are not listed get {cold}."
    if folds:
        strangers = (
            f"Users who are not listed get a list by their history of at least "
            f"{_items(folds.min_history)}; without one, {cold}."
        )
    return _CARD.format(
        name=name,
        what=_WHAT.get(provenance.variant, _NETWORK).format(
            kind=model.kind, size=f"{_factors(model)}{tower}"
        ),
        n_users=model.n_users,
        n_items=model.n_items,
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
        new_items=_new_items(manifest.new_items),
        fold_in=_fold_in(manifest.fold_in),
        strangers=strangers,
        since="" if folds else " It knows nothing that happened since.",
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


def recipe_of(card: str) -> str:
    """Find the recipe in a card of before; ``null`` if it is not there."""
    found = re.search(r"(?ms)^## Recipe\n\n```json\n(.*?)\n```", card)
    return found[1] if found else "null"


def _new_items(added: NewItems | None) -> str:
    if added is None:
        return ""
    return (
        f"## New items\n\n{added.items:,} items were added to bundle `{added.parent[:12]}` without "
        f"training, their vectors\nmade from the rows of those who took them ({added.pairs:,} "
        "pairs). The figures above are from before.\n\n"
    )


def _fold_in(facts: FoldInFacts | NoFoldIn | None) -> str:
    if not isinstance(facts, FoldInFacts):
        return f"They are not folded in: {facts.reason if facts else 'not asked for'}."
    how = "by measurement" if facts.measured else "set by hand, or for want of test cases"
    intro = (
        f"A row is made from a history of at least {_items(facts.min_history)}\n"
        f"({how}), by a linear map fitted on {facts.users:,} users. "
    )
    if not facts.promise:
        return f"{intro}How good these rows are was not measured: there is no honest test case."
    rows = "\n".join(map(_promised, facts.promise))
    return f"{intro}{_PROMISE}\n{rows}\n\n{_HONEST}"


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"


def _promised(each: Promise) -> str:
    length = "all" if each.history is None else f"{each.history}"
    figures = f"{each.popular:.4f} | {each.folded:.4f} | {each.trained:.4f}"
    loss = f"{each.loss:.4f} ± {each.loss_se:.4f}"
    return f"| {each.protocol} | {length} | {each.users:,} | {figures} | {loss} |"


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
