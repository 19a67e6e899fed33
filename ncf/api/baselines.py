"""Train simple models, and find out which ones a comparison needs."""

from collections.abc import Iterable
from pathlib import Path

from ncf.api.data import Data, as_data
from ncf.api.options import Place, chosen, folder
from ncf.api.recipes import Changes
from ncf.baselines.names import Baseline
from ncf.devices import Device
from ncf.errors import UsageError
from ncf.models.kinds import Variant
from ncf.training.baselines import BaselineRequest, train_baseline
from ncf.training.launcher import launched
from ncf.training.recipe import read_toml


def network_named(model: str) -> Variant:
    """Find a network by its name, where a simple model would be trained in another way.

    Raises
    ------
    UsageError
        There is no such model; the message lists all of them.
    """
    try:
        return Variant(model)
    except ValueError:
        raise UsageError(
            f"`model` {model!r} is not a choice",
            remedy=f"give one of {', '.join([*Variant, *Baseline])}",
        ) from None


def only_networks_take(baseline: Baseline, others: Iterable[object], device: str) -> None:
    """Refuse options of networks, for a simple model.

    Raises
    ------
    UsageError
        One of them is given, or CUDA, or several processes train together.
    """
    if any(others):
        raise UsageError(
            f"`recipe`, `gmf`, `mlp`, `warm_start`, `amp` and `refit_only` do not apply to "
            f'`model="{baseline.value}"`',
            remedy="leave them out; `config` fixes settings",
        )
    if chosen(Device, device, "device") is Device.CUDA or launched().size > 1:
        raise UsageError(
            f'`model="{baseline.value}"` is trained by one process on the CPU',
            remedy="leave `device` and torchrun out",
        )


def train_simple(
    baseline: Baseline,
    data: Data | Place,
    out: Path,
    config: Changes = None,
    *,
    resume: bool = False,
    refit: bool = True,
) -> None:
    """Train a simple model, with settings chosen on validation but for those in ``config``."""
    where: object = "`config`"
    if isinstance(config, Place):
        where = folder(config, "config")
        fixed = read_toml(folder(config, "config"))
    else:
        fixed = dict(config or {})
    request = BaselineRequest(baseline, out, fixed, resume, refit, where)
    train_baseline(request, as_data(data).prepared)
