"""The same top 10 in plain PyTorch, factored as our graphs are: what ONNX Runtime is held to."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.gpu.load import Load
from benchmarks.gpu.part import Record, Settings
from benchmarks.gpu.worlds import TRAINED, weights_of
from ncf.devices import Device

_K = 10
_BLOCKS, _FEW_BLOCKS = (64, 256, 512, 1024), (8, 32)
_SEEN = 95
_REPEATS = 16  # so that a run is long enough to time


class Plain:
    """NeuMF's factored scoring as tensors."""

    def __init__(self, weights: dict[str, np.ndarray], device: str, dtype: torch.dtype) -> None:
        tensors = {name: torch.from_numpy(array).to(device) for name, array in weights.items()}
        head = tensors["output.weight"][0]
        wide = tensors["gmf.user.weight"].shape[1]
        self.gmf_users = tensors["gmf.user.weight"] * head[:wide]
        self.gmf_items = tensors["gmf.item.weight"]
        first = tensors["mlp.tower.0.weight"]
        width = tensors["mlp.user.weight"].shape[1]
        self.users = (tensors["mlp.user.weight"] @ first[:, :width].T).to(dtype)
        bias = tensors["mlp.tower.0.bias"]
        self.items = (tensors["mlp.item.weight"] @ first[:, width:].T + bias).to(dtype)
        count = sum(name.startswith("mlp.tower.") for name in weights) // 2
        self.later = [
            [tensors[f"mlp.tower.{layer}.{part}"].to(dtype) for part in ("weight", "bias")]
            for layer in range(1, count)
        ]
        self.head = head[wide:].to(dtype)
        self.bias = tensors["output.bias"]
        self.n_users = len(self.users)
        rng = np.random.default_rng(0)
        seen = rng.integers(0, len(self.items), (self.n_users, min(_SEEN, len(self.items) // 4)))
        self.seen = torch.from_numpy(seen).to(device)

    def logits(self, part: slice) -> Tensor:
        """Score users over all items: ``(n, items)``."""
        hidden = torch.relu_(self.users[part, None] + self.items)
        for weight, bias in self.later:
            hidden = torch.relu_(functional.linear(hidden, weight, bias))
        scores = (hidden @ self.head).float()
        return scores + self.gmf_users[part] @ self.gmf_items.T + self.bias

    def rank(self, score: Callable[[slice], Tensor], block: int) -> None:
        """Rank every user, seen items masked, and bring the lists to the CPU."""
        for start in range(0, self.n_users, block):
            part = slice(start, min(start + block, self.n_users))
            logits = score(part)
            logits.scatter_(1, self.seen[part], -torch.inf)
            top = logits.topk(_K)
            top.values.cpu()
            top.indices.cpu()


@torch.inference_mode()
def run(settings: Settings, record: Record) -> None:
    """Time eager float32, TF32 and bfloat16, and float32 compiled."""
    weights, device = weights_of(settings.worlds, TRAINED), settings.device.value
    ways = [("float32", torch.float32, False)]
    if settings.device is Device.CUDA:
        ways += [("TF32", torch.float32, True), ("bfloat16", torch.bfloat16, False)]
    for name, dtype, tf32 in ways:
        torch.backends.cuda.matmul.allow_tf32 = tf32
        plain = Plain(weights, device, dtype)
        for block in _FEW_BLOCKS if settings.small else _BLOCKS:
            _keep(record, f"PyTorch, {name}, blocks of {block}", plain, block, settings)
    torch.backends.cuda.matmul.allow_tf32 = False
    if settings.device is Device.CUDA and settings.left() > 60:
        plain = Plain(weights, device, torch.float32)
        compiled = torch.compile(plain.logits, dynamic=True)
        _keep(record, "PyTorch, float32, compiled, blocks of 512", plain, 512, settings, compiled)


def _keep(  # noqa: PLR0913, PLR0917 - one row of a table
    record: Record,
    what: str,
    plain: Plain,
    block: int,
    settings: Settings,
    score: Callable[[slice], Tensor] | None = None,
) -> None:
    score = score or plain.logits
    plain.rank(score, block)
    best = 0.0
    with Load.watched(settings.device) as load:
        repeats = 1 if settings.small else _REPEATS
        for _ in range(2):
            started = time.perf_counter()
            for _ in range(repeats):
                plain.rank(score, block)
            best = max(best, repeats * plain.n_users / (time.perf_counter() - started))
    record.add(what, users_a_second=round(best), **load.figures())
