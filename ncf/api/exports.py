"""Export a trained model as a bundle and an archive, or for Triton."""

from typing import TYPE_CHECKING, Any

from ncf.api.bundles import Bundle
from ncf.api.figures import Figures
from ncf.api.options import Place, chosen, folder
from ncf.extras import needed_by
from ncf.policies import ColdUser
from ncf.scoring.bundle import open_bundle as open_folder

if TYPE_CHECKING:
    from ncf.api.data import Data
    from ncf.api.models import Model


def export(
    model: "Model | Place",
    data: "Data | Place",
    *,
    out: Place = "model_store",
    name: str = "ncf",
    version: str = "1.0",
    cold_user: str = "popular",
    screen: bool = True,
    fold_in: bool = True,
    min_history: int | None = None,
) -> Bundle:
    """Export a bundle and a ``.mar``: ONNX graphs that equal the model, ids and digests.

    Parameters
    ----------
    model : Model, str or Path
        Model from :func:`ncf.train`, or its folder.
    data : Data, str or Path
        Data that it was trained on.
    out : str or Path
        Folder of exported models.
    name : str
        Name of the model: the bundle is ``out/name``, the archive ``out/name.mar``.
    version : str
        Version of the model, for TorchServe: digits and dots.
    cold_user : {"popular", "error"}
        What strangers get.
    screen : bool
        Add a screened top-K graph if it is faster.
    fold_in : bool
        Add what gives strangers lists by their histories, if these are better than the popular
        items.
    min_history : int, optional
        Shortest history that is used; measured if not given.

    Raises
    ------
    ParityError
        A graph and PyTorch disagree; nothing is published.
    ArtifactError
        The model was trained on other data.
    UsageError
        The name or the version is malformed.

    Examples
    --------
    >>> ncf.export(model, data, out="model_store", name="again")
    Bundle('model_store/again': gmf, 40 users, 30 items)
    """
    with needed_by("ncf.export"):
        from export.publish import publish

    store = folder(out, "out")
    options: dict[str, Any] = {"screen": screen, "fold_in": fold_in, "min_history": min_history}
    source = _source(model, data, chosen(ColdUser, cold_user, "cold_user"), **options)
    found = publish(source, store, name, version)
    places = {"bundle": str(store / name), "archive": str(store / f"{name}.mar")}
    return Bundle(open_folder(store / name), Figures({**places, **found}))


def export_triton(
    model: "Model | Place",
    data: "Data | Place",
    *,
    out: Place,
    name: str = "ncf",
    k: int | None = None,
) -> Figures:
    """Write a Triton model repository: the top-K graph with seen items inside.

    Parameters
    ----------
    model, data
        As for :func:`ncf.export`.
    out : str or Path
        Folder of the repository.
    name : str
        Name of the model.
    k : int, optional
        Length of every answer; 100, or all items, if not given.

    Raises
    ------
    ParityError
        The graph and PyTorch disagree; nothing is written.
    ArtifactError
        The model was trained on other data, or is too large for one graph.
    UsageError
        The name is malformed, or ``k`` is under 1 or above the catalogue.

    Examples
    --------
    >>> ncf.export_triton(model, data, out="triton", k=5)["repository"]
    'triton/ncf'
    """
    with needed_by("ncf.export_triton"):
        from export.triton import write_repository

    source = _source(model, data)
    length = min(100, len(source.data.items)) if k is None else k
    return Figures(write_repository(source, folder(out, "out"), name, length))


def _source(
    model: "Model | Place",
    data: "Data | Place",
    cold_user: ColdUser = ColdUser.POPULAR,
    **options: Any,  # noqa: ANN401 - of Source, whose module needs PyTorch
) -> Any:  # noqa: ANN401 - its module needs PyTorch
    from export.source import Source
    from ncf.api.data import as_data
    from ncf.api.models import as_model

    return Source(as_model(model).checkpoint, as_data(data).prepared, cold_user, **options)
