"""Train a model on prepared data."""

from ncf.api.baselines import network_named, only_networks_take, train_simple
from ncf.api.data import Data, as_data
from ncf.api.devices import torch_device
from ncf.api.models import Model, as_model, path_of
from ncf.api.options import Place, chosen, folder
from ncf.api.recipes import Changes, recipe_of, recorded_recipe, warm_recipe_of
from ncf.baselines.names import Baseline
from ncf.devices import Device
from ncf.errors import UsageError
from ncf.models.kinds import Variant
from ncf.training.addition import refit_only as refit_checkpoint
from ncf.training.names import Named
from ncf.training.ranks import joined
from ncf.training.request import ParentFolders, Request
from ncf.training.train import train as train_variant
from ncf.training.warm_start import inherit


def train(
    data: Data | Place,
    model: str | None = None,
    *,
    out: Place,
    recipe: str | None = None,
    config: Changes = None,
    resume: bool = False,
    gmf: Model | Place | None = None,
    mlp: Model | Place | None = None,
    device: str = "auto",
    amp: bool = False,
    refit: bool = True,
    refit_only: bool = False,
    warm_start: Model | Place | None = None,
) -> Model:
    """Train a model, and keep the epoch that is best by validation, never by test.

    Then a second set of weights is trained on everything, test part included, for as many epochs:
    :func:`export` takes these, while :func:`evaluate` and :func:`compare` measure the first.

    Under ``torchrun`` all processes train together, and the first one writes.

    Parameters
    ----------
    data : Data, str or Path
        Data from :func:`ncf.prepare`, or its folder.
    model : str, optional
        Network to train, ``gmf``, ``mlp``, ``neumf-end`` or ``neumf-pre`` (if not given), or simple
        model to compare networks with: ``popular``, ``item-knn``, ``ease`` or ``ials``. Settings of
        a simple model are chosen on validation too.
    out : str or Path
        Checkpoint folder to write.
    recipe : {"default", "paper", "tutorial"}, optional
        Recipe that comes with the toolkit; ``default`` if not given.
    config : str, Path or mapping, optional
        Changes to the recipe: a TOML file, or nested mappings of the same keys. Of a simple model:
        settings that are not to be chosen, such as ``{"l2": 500}``.
    resume : bool
        Continue an interrupted training after the last epoch that was saved.
    gmf, mlp : Model, str or Path, optional
        Parents of ``neumf-pre``; trained first if not given.
    device : {"auto", "cpu", "cuda"}
        Device that computes.
    amp : bool
        Compute in bfloat16 where it is safe; for GPUs.
    refit : bool
        Also train on everything, for export.
    refit_only : bool
        Only do that, for the checkpoint at ``out`` that has no such weights, by its own recipe.
    warm_start : Model, str or Path, optional
        Yesterday's model, to start from instead of noise: its variant and recipe, for a few epochs
        at a low rate. Users and items are found by raw id; new ones get rows from the maps that
        fold in. The product starts from its product.

    Raises
    ------
    UsageError
        There is nothing to learn from, or options exclude each other.
    ConfigError
        The recipe has an unknown key or a value out of range.
    InterruptedWorkError
        Ctrl-C was pressed; the best epoch so far was written.

    Examples
    --------
    >>> quick = {"factors": 4, "schedule": {"epochs": 2, "batch_size": 64}}
    >>> ncf.train(data, "gmf", out="checkpoints/quick", config=quick)  # doctest: +ELLIPSIS
    Model('checkpoints/quick': gmf, epoch ..., validation HR@10 ...)
    >>> tonight = ncf.train(data, out="checkpoints/tonight", warm_start="checkpoints/quick")
    >>> tonight.figures["warm"]["generation"]
    1
    >>> ncf.train(data, "ease", out="checkpoints/ease")  # doctest: +ELLIPSIS
    Model('checkpoints/ease': ease, validation HR@10 ...)
    """
    target = folder(out, "out")
    if model in set(Baseline):
        others = (recipe, gmf, mlp, warm_start, amp, refit_only)
        only_networks_take(Baseline(model), others, device)
        train_simple(Baseline(model), data, target, config, resume=resume, refit=refit)
        return Model(target)
    parent = None if warm_start is None else as_model(warm_start, "warm_start").checkpoint
    if parent is not None:
        if gmf or mlp or refit_only or target.resolve() == parent.path.resolve():
            raise UsageError(
                "`warm_start` does not go with `gmf`, `mlp`, `refit_only`, or itself as `out`"
            )
        variant, wanted = warm_recipe_of(parent, model, recipe, config)
    elif refit_only:
        variant, wanted = recorded_recipe(target, model, recipe, config, refit=refit)
    else:
        variant = network_named(model or Variant.NEUMF_PRE)
        wanted = recipe_of(recipe or Named.DEFAULT, config, variant)
    if variant is not Variant.NEUMF_PRE and (gmf or mlp):
        raise UsageError('`gmf` and `mlp` apply only to `model="neumf-pre"`')
    given = as_data(data).prepared
    if parent is None and not refit_only:
        wanted = recipe_of(recipe or Named.DEFAULT, config, variant, given)
    warm = None if parent is None else inherit(parent, given)
    with joined(torch_device(chosen(Device, device, "device"))) as (ranks, place):
        parents = ParentFolders(path_of(gmf, "gmf"), path_of(mlp, "mlp"))
        request = Request(variant, wanted, target, resume, place, parents, amp, ranks, refit, warm)
        (refit_checkpoint if refit_only else train_variant)(request, given)
    return Model(target)
