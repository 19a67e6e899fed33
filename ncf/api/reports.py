"""Write pages for people: of a table, and of a training."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ncf.api.jobs import bundle_folder
from ncf.api.options import Place, folder
from ncf.errors import UsageError
from ncf.files import atomic_file

if TYPE_CHECKING:
    from ncf.api.bundles import Bundle
    from ncf.api.data import Data
    from ncf.api.models import Model
    from ncf.api.runs import Run
    from ncf.training.report import Tested

_K = 10


def report(
    run: "Run | Place | None" = None,
    *,
    checkpoint: "Model | Place | None" = None,
    bundle: "Bundle | Place | None" = None,
    data: "Data | Place | None" = None,
    out: Place = "report.html",
) -> Path:
    """Write a page about a table, or about a training: one file that fetches nothing.

    Parameters
    ----------
    run : Run, str or Path, optional
        A run, its folder or URI: verdict of its gates, what changed since the run before, recall,
        seconds, and a sample of users.
    checkpoint : Model, str or Path, optional
        A trained model: curves, figures, recipe.
    bundle : Bundle, str or Path, optional
        Bundle of the run, which knows titles, histories and the catalogue.
    data : Data, str or Path, optional
        Data of the checkpoint: the model is measured on the test part, beside baselines.
    out : str or Path
        File to write.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ArtifactError
        The run or the checkpoint is damaged, or was trained on other data.
    UsageError
        Neither or both of ``run`` and ``checkpoint`` are given, or what does not go with them.

    Examples
    --------
    >>> ncf.report(run, bundle=bundle).read_text().count("<h1>")
    1
    >>> ncf.report(checkpoint=model, data=data, out="training.html").name
    'training.html'
    """
    target = folder(out, "out")
    if (run is None) == (checkpoint is None):
        raise UsageError("give `run` or `checkpoint`", remedy="give one of them")
    if run is not None:
        if data is not None:
            raise UsageError("`data` goes with `checkpoint`", remedy="leave it out")
        content = _of_run(run, bundle)
    else:
        if bundle is not None:
            raise UsageError("`bundle` goes with `run`", remedy="leave it out")
        content = _of_training(checkpoint, data)
    with atomic_file(target) as file:
        file.write(content)
    return target


def _of_run(run: "Run | Place", bundle: "Bundle | Place | None") -> bytes:
    from batch.published_report import report_published

    place = run if isinstance(run, str | Path) else run.table
    return report_published(place, None if bundle is None else bundle_folder(bundle))


def _of_training(checkpoint: "Model | Place | None", data: "Data | Place | None") -> bytes:
    from ncf.api.models import open_model
    from ncf.training.report import training_report

    path = folder(getattr(checkpoint, "path", checkpoint), "checkpoint")
    open_model(path)  # every digest is checked
    return training_report(path, None if data is None else _tested(path, data))


def _tested(path: Path, data: "Data | Place") -> "Tested":
    """Measure a model and baselines in the same way."""
    from ncf.api.data import as_data
    from ncf.api.evaluation import evaluate
    from ncf.evaluation.baselines import neighbours, popularity
    from ncf.evaluation.cold import popular_lists, trained_cases
    from ncf.evaluation.full_ranking import Panel, full
    from ncf.evaluation.protocols import sampled
    from ncf.training.report import Tested

    given = as_data(data).prepared
    found = evaluate(path, data, k=_K).document
    rows = {"the model": found["metrics"][0]}
    if found["protocol"] == "sampled":
        ways = {"neighbours": neighbours(given), "popularity": popularity(given)}
        cases = trained_cases(given)
        for name, score in ways.items():
            if score is not None:
                rows[name] = asdict(sampled(score, cases, _K))
    else:
        panel = Panel.of(given)
        rows["popularity"] = full(popular_lists(given, panel.seen), given, panel, [_K]).metrics[0]
    return Tested(found["protocol"], _K, found["cases"], rows)
