"""Write what people look at before they trust a model: curves, figures, recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ncf.artifacts import read_manifest
from ncf.pages.html import Html, shown, table, tag
from ncf.pages.page import page, section, tiles
from ncf.pages.plots import curves
from ncf.training.history import load_history
from ncf.training.manifest import CHECKPOINT, CheckpointManifest
from ncf.validation import Epoch


@dataclass(frozen=True)
class Tested:
    """Figures of the test part, of the model and of baselines.

    Parameters
    ----------
    protocol : str
        How they were measured.
    k : int
        Length of the lists.
    cases : int
        Count of the cases.
    rows : mapping
        ``hr`` and ``ndcg`` with standard errors (``hr_se``), by name.
    """

    protocol: str
    k: int
    cases: int
    rows: Mapping[str, Mapping[str, float]]


def training_report(folder: Path, tested: Tested | None = None) -> bytes:
    """Write the page of a checkpoint.

    Parameters
    ----------
    folder : Path
        The checkpoint.
    tested : Tested, optional
        Figures of the test part.

    Raises
    ------
    ArtifactError
        It cannot be read.
    """
    manifest, history = read_manifest(folder, CHECKPOINT), load_history(folder)
    title = f"{manifest.variant} of {folder.name}"
    return page(
        title,
        [
            _head(title, manifest),
            tiles(_first(manifest, tested)),
            None if tested is None else _against_baselines(tested),
            _curves(manifest, history),
            _facts(manifest),
            section("Recipe", _folded("all keys", _mapping(manifest.recipe))),
        ],
    )


def _folded(title: str, content: Html) -> Html:
    return tag("details", tag("summary", title), content)


def _head(title: str, manifest: CheckpointManifest) -> Html:
    ended = "The training ran to its end" if manifest.finished else "The training was interrupted"
    best = manifest.validation.best_epoch
    chosen = "no epoch was measured" if best is None else f"epoch {best} is the best by validation"
    parts = [f"{ended}; {chosen}."]
    if manifest.product is not None:
        parts.append(
            f"For export it was trained again on all {manifest.product.interactions:,} "
            f"interactions, epochs: {manifest.product.epochs}."
        )
    return tag("header", tag("h1", title), tag("p", " ".join(parts)))


def _first(manifest: CheckpointManifest, tested: Tested | None) -> dict[str, str]:
    best, found = manifest.validation, {}
    for name in ("hr", "ndcg"):
        if (value := getattr(best, name)) is not None:
            found[f"validation {name.upper()}@{best.k} ({best.protocol})"] = f"{value:.4f}"
    if tested is not None:
        model = next(iter(tested.rows.values()))
        for name in ("hr", "ndcg"):
            found[f"test {name.upper()}@{tested.k} ({tested.protocol})"] = f"{model[name]:.4f}"
    found["best epoch"] = shown(best.best_epoch)
    return found


def _against_baselines(tested: Tested) -> Html:
    model = next(iter(tested.rows.values()))
    rows = [
        (
            name,
            f"{found['hr']:.4f}",
            f"{found['hr_se']:.4f}",
            f"{found['ndcg']:.4f}",
            f"{found['ndcg_se']:.4f}",
            f"{found['ndcg'] / model['ndcg']:.2f}" if model["ndcg"] else "",
        )
        for name, found in tested.rows.items()
    ]
    head = [
        "",
        f"HR@{tested.k}",
        "std. error",
        f"NDCG@{tested.k}",
        "std. error",
        "of the model's NDCG",
    ]
    text = (
        f"{tested.cases:,} cases of the test part, {tested.protocol} protocol. Popularity gives "
        "everybody the same items; neighbours are the items most similar to what a user took."
    )
    return section("Beside baselines", tag("p", text), table(head, rows))


def _curves(manifest: CheckpointManifest, history: Sequence[Epoch]) -> Html:
    if len(history) < 2:
        return section("Training", tag("p", "No more than one epoch was measured: no curve."))
    epochs = [float(each.epoch) for each in history]
    best = manifest.validation
    mark = None if best.best_epoch is None else float(best.best_epoch)
    loss = [each.loss for each in history]
    measured = {
        f"HR@{best.k}": (epochs, [each.hr for each in history]),
        f"NDCG@{best.k}": (epochs, [each.ndcg for each in history]),
    }
    drawn = [curves(("Validation, honest weights", "epoch", "figure"), measured, mark=mark)]
    if any(each is not None for each in loss):
        series = {"loss": (epochs, loss)}
        drawn.insert(0, curves(("Loss, nats", "epoch", "loss"), series, mark=mark))
    note = tag("p", "The broken line marks the epoch that was kept.", class_="faint")
    return section("Training", tag("div", *drawn, class_="two"), note)


def _facts(manifest: CheckpointManifest) -> Html:
    facts: dict[str, Any] = {"variant": manifest.variant, **asdict(manifest.architecture)}
    if manifest.warm is not None:
        warm = manifest.warm
        facts |= {
            "warm start, generation": warm.generation,
            "users kept, new, dropped": _counts(asdict(warm.users)),
            "items kept, new, dropped": _counts(asdict(warm.items)),
            "lists of ten that stayed": warm.overlap,
        }
    facts |= {f"parent {name}": digest for name, digest in manifest.parents.items()}
    facts |= {"mix of the parents": manifest.mix, "data": manifest.data.digest}
    facts["checkpoint"] = manifest.digest
    return section("Model", _mapping(facts))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[name]:,}" for name in ("kept", "new", "dropped"))


def _mapping(values: Mapping[str, Any]) -> Html:
    rows = [(name, tag("code", shown(value))) for name, value in _flat(values) if value is not None]
    return table(["", ""], rows)


def _flat(values: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        nested = isinstance(value, Mapping)
        found += _flat(value, f"{above}{name}.") if nested else [(f"{above}{name}", value)]
    return found
