"""GMF by blocks of users, the default recipe, on the device and on the CPU."""

import time
import tomllib
from importlib.resources import files
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import torch

from benchmarks.gpu.part import Record, Settings
from benchmarks.gpu.tastes import Tastes, draw
from ncf.evaluation.protocols import sampled
from ncf.models.networks import GMF
from ncf.models.scorer import group_scorer
from ncf.progress import Reporter
from ncf.training.block_epochs import BlockEpochs
from ncf.training.ranks import ALONE

if TYPE_CHECKING:
    from ncf.training.schedule import Blocks, Schedule

_EPOCHS, _FEW = 12, 3
_FACTORS = 128
_CLOSE = 0.01  # NDCG of both devices after as many epochs
_OTHERS = {"users": 256, "steps": 48, "items": 10_000}  # a test holds these to the recipe's own


def recipe() -> tuple["Schedule", "Blocks"]:
    """Read the schedule of GMF in the default recipe, without pydantic."""
    text = (files("ncf.training") / "recipes" / "default.toml").read_text()
    schedule = tomllib.loads(text)["gmf"]["schedule"]
    blocks = SimpleNamespace(**{**_OTHERS, **schedule["blocks"]})
    whole = SimpleNamespace(**{"decay": 1.0, **schedule})
    return cast("Schedule", whole), cast("Blocks", blocks)


def run(settings: Settings, record: Record) -> None:
    """Train the same GMF on both; the CPU stops when its time is up.

    Raises
    ------
    ValueError
        The two devices came to different figures.
    """
    sizes = (300, 200, 20) if settings.small else (6038, 3533, 95)
    tastes = draw(*sizes)
    epochs = _FEW if settings.small else _EPOCHS
    found = {}
    for device in dict.fromkeys((settings.device.value, "cpu")):
        ends = time.monotonic() + 0.8 * settings.left()
        found[device] = _train(tastes, device, epochs, ends)
        seconds, ndcg = found[device]
        pairs = sizes[0] * sizes[1]
        later = seconds[1:] or seconds
        record.add(
            f"gmf by blocks on {device}",
            pairs_a_second=round(pairs * len(later) / sum(later)),
            first_epoch_seconds=round(seconds[0], 3),
            epoch_seconds=round(sum(later) / len(later), 4),
            epochs=len(seconds),
            ndcg=round(max(ndcg), 4),
            peak_memory_bytes=torch.cuda.max_memory_allocated() if device == "cuda" else None,
        )
    # Cut to the shorter one: the CPU may have had less time.
    for each in zip(*(ndcg for _, ndcg in found.values()), strict=False):
        apart = max(each) - min(each)
        if apart >= _CLOSE:
            raise ValueError(f"NDCG is {apart:.4f} apart after as many epochs")


def _train(
    tastes: Tastes, device: str, epochs: int, ends: float
) -> tuple[list[float], list[float]]:
    """Train, and validate after each epoch; validation is not timed."""
    torch.manual_seed(0)
    network = GMF(tastes.train.n_users, tastes.train.n_items, _FACTORS).to(device)
    schedule, blocks = recipe()
    training = BlockEpochs(network, schedule, blocks, tastes.train, ALONE)
    seconds: list[float] = []
    ndcg: list[float] = []
    while len(seconds) < epochs and (len(seconds) < _FEW or time.monotonic() < ends):
        started = time.perf_counter()
        training.train(0, len(seconds), Reporter("train", None, None))
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
        metrics = sampled(group_scorer(training.average.network), tastes.validation, 10)
        ndcg.append(metrics.ndcg)
    return seconds, ndcg
