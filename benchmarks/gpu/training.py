"""Training on the device and on the CPU: samples a second, memory, and time to the same quality."""

import time
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import torch

from benchmarks.gpu.part import Record, Settings
from benchmarks.gpu.tastes import Tastes, draw
from ncf.evaluation.protocols import sampled
from ncf.models.architecture import Architecture, build
from ncf.models.kinds import Kind
from ncf.models.scorer import group_scorer
from ncf.progress import Reporter
from ncf.training.average import Average
from ncf.training.epoch import Learner, Samples, train_epoch
from ncf.training.optimizers import Optimizers
from ncf.training.ranks import ALONE

_EPOCHS, _FEW = 8, 2
_NEAR = 0.98  # of the best NDCG that the device came to
_SECTIONS = {Kind.GMF: "gmf", Kind.NEUMF: "neumf-end"}


@dataclass(frozen=True)
class Recipe:
    """The steps of the recipe ``sampled``, read without pydantic."""

    optimizer: str
    learning_rate: float
    batch_size: int
    negatives: int
    l2: float
    l2_warmup: float
    averaging: float
    gmf_factors: int


def sampled_recipe(kind: Kind) -> Recipe:
    """Read the recipe that ``ncf train --recipe sampled`` takes."""
    text = (files("ncf.training") / "recipes" / "sampled.toml").read_text()
    whole = tomllib.loads(text)
    own: dict[str, Any] = whole[_SECTIONS[kind]]
    steps = own["schedule"]
    return Recipe(
        "adam",
        steps["learning_rate"],
        steps["batch_size"],
        steps["negatives"],
        steps["l2"],
        steps.get("l2_warmup", 0.0),
        steps["averaging"],
        own.get("gmf_factors", whole["gmf_factors"]),
    )


class Training:
    """One network in training on one device."""

    def __init__(self, kind: Kind, tastes: Tastes, device: str, *, amp: bool) -> None:
        recipe = sampled_recipe(kind)
        train = tastes.train
        factors = 8 if train.n_users < 1000 else 32
        wide = recipe.gmf_factors if factors == 32 else 16
        torch.manual_seed(0)
        shape = Architecture(kind, train.n_users, train.n_items, factors, 3, gmf_factors=wide)
        model = build(shape).to(device)
        place = torch.device(device)
        self._samples = Samples(train, recipe.negatives, recipe.batch_size, place, ALONE)
        touched = self._samples.groups, self._samples.groups * (1 + recipe.negatives)
        optimizers = Optimizers(model, recipe, *touched, by_row=True)
        average = Average(model, recipe.averaging)
        self._learner = Learner(model, model, optimizers, average, recipe.l2, recipe.l2_warmup, amp)
        self._cases = tastes.validation
        self.seconds: list[float] = []
        self.ndcg: list[float] = []

    def epoch(self) -> None:
        """Train on every sample once, and validate; validation is not timed."""
        started = time.perf_counter()
        bar = Reporter("train", None, None)
        train_epoch(self._learner, self._samples, 0, len(self.seconds), bar)
        if self._samples.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - started)
        found = sampled(group_scorer(self._learner.average.network), self._cases, 10)
        self.ndcg.append(found.ndcg)

    def rate(self) -> float:
        """Count samples a second, without the first epoch, in which kernels load."""
        later = self.seconds[1:] or self.seconds
        return len(self._samples) * len(later) / sum(later)

    def until(self, ndcg: float) -> float | None:
        """Seconds of training until validation first came to so much; None where it did not."""
        for epoch, found in enumerate(self.ndcg, 1):
            if found >= ndcg:
                return sum(self.seconds[:epoch])
        return None


def run(settings: Settings, record: Record) -> None:
    """Train GMF and NeuMF by the recipe ``sampled``, on the device, with --amp, and on the CPU."""
    sizes = (300, 200, 20) if settings.small else (6038, 3533, 95)
    tastes = draw(*sizes)
    record.add("data", users=sizes[0], items=sizes[1], pairs=len(tastes.train))
    epochs = _FEW if settings.small else _EPOCHS
    for kind in _SECTIONS:
        target = 0.0
        for name, amp in ((settings.device.value, False), (settings.device.value, True)):
            if name == "cuda":
                torch.cuda.reset_peak_memory_stats()
            training = Training(kind, tastes, name, amp=amp)
            for _ in range(epochs):
                training.epoch()
            target = target or _NEAR * max(training.ndcg)
            _keep(record, kind, f"{name}{', --amp' if amp else ''}", training, target)
        on_cpu = Training(kind, tastes, "cpu", amp=False)
        share = settings.left() / (2 if kind is Kind.GMF else 1)
        ends = time.monotonic() + 0.8 * share
        while len(on_cpu.ndcg) < epochs and time.monotonic() < ends:
            on_cpu.epoch()
            if on_cpu.ndcg[-1] >= target and len(on_cpu.ndcg) >= _FEW:
                break
        _keep(record, kind, f"cpu, {torch.get_num_threads()} threads", on_cpu, target)


def _keep(record: Record, kind: Kind, where: str, training: Training, target: float) -> None:
    until = training.until(target)
    memory = torch.cuda.max_memory_allocated() if where.startswith("cuda") else None
    record.add(
        f"{kind.value} on {where}",
        samples_a_second=round(training.rate()),
        first_epoch_seconds=round(training.seconds[0], 3),
        epochs=len(training.seconds),
        ndcg=round(max(training.ndcg), 4),
        target=round(target, 4),
        seconds_to_target=None if until is None else round(until, 2),
        peak_memory_bytes=memory,
    )
