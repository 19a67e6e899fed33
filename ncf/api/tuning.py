"""Search for a better recipe."""

from typing import TYPE_CHECKING

from ncf.api.data import Data, as_data
from ncf.api.figures import Figures
from ncf.api.options import Place, chosen, folder
from ncf.devices import Device
from ncf.extras import require
from ncf.models.kinds import Variant

if TYPE_CHECKING:
    from ncf.api.models import Model
    from ncf.api.recipes import Changes


def tune(
    data: "Data | Place",
    model: str,
    *,
    out: Place,
    recipe: str = "default",
    config: "Changes" = None,
    space: Place | None = None,
    minutes: float = 30.0,
    trials: int | None = None,
    resume: bool = False,
    gmf: "Model | Place | None" = None,
    mlp: "Model | Place | None" = None,
    device: str = "auto",
) -> Figures:
    """Search for a better recipe within a time budget, by validation only, and write it.

    The first trial is the recipe to start from, so the result is no worse by validation; trials
    that fall behind are stopped after a few epochs.

    Parameters
    ----------
    data : Data, str or Path
        Data from :func:`ncf.prepare`, or its folder.
    model : {"gmf", "mlp", "neumf-end", "neumf-pre"}
        Variant to tune.
    out : str or Path
        File of the recipe to write, in TOML, for ``config`` of :func:`ncf.train`.
    recipe, config
        Recipe to start from, as for :func:`ncf.train`.
    space : str or Path, optional
        File of the search space, in TOML; if not given, the toolkit's own.
    minutes : float
        Stop after this many minutes.
    trials : int, optional
        Stop after this many trials.
    resume : bool
        Continue an earlier search.
    gmf, mlp : Model, str or Path, optional
        Parents of ``neumf-pre``.
    device : {"auto", "cpu", "cuda"}
        Device that computes.

    Returns
    -------
    Figures
        Number of trials, validation figures of the best one and of the recipe to start from
        (``before_NDCG@10``), and the best values.

    Raises
    ------
    ConfigError
        The space does not fit a recipe, or no trial finished.

    Examples
    --------
    >>> quick = {"factors": 4, "schedule": {"epochs": 1, "batch_size": 64}}
    >>> found = ncf.tune(data, "gmf", out="gmf.toml", config=quick, trials=1)
    >>> found["trials"], found["recipe"]
    (1, 'gmf.toml')
    """
    require("optuna", "sqlalchemy", "tomli_w", user="ncf.tune")
    from ncf.api.devices import torch_device
    from ncf.api.models import path_of
    from ncf.api.recipes import recipe_of
    from ncf.training.request import ParentFolders, Request
    from ncf.training.space import load_space
    from ncf.training.tune import Search
    from ncf.training.tune import tune as search_recipe

    variant = chosen(Variant, model, "model")
    recipe_of(recipe, config, variant)  # what is wrong with it is said before data are read
    choices = load_space(path_of(space, "space"), variant)
    prepared = as_data(data).prepared
    wanted = recipe_of(recipe, config, variant, prepared)
    place = torch_device(chosen(Device, device, "device"))
    parents = ParentFolders(path_of(gmf, "gmf"), path_of(mlp, "mlp"))
    request = Request(variant, wanted, folder(out, "out"), resume, place, parents)
    search = Search(request, choices, minutes * 60, trials)
    found = search_recipe(search, prepared)
    names = {"hr": "validation_HR@10", "ndcg": "validation_NDCG@10", "before": "before_NDCG@10"}
    return Figures({names.get(name, name): value for name, value in found.items()})
