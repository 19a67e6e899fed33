"""Run Adam on embedding tables of which a step uses few rows; the other rows catch up later.

Adam changes every row at every step, because a row's running mean of gradients fades over many
steps. A row without a gradient moves by ``-rate_t * mean / sqrt(square)``, where both only shrink,
by ``beta1`` and ``sqrt(beta2)`` a step. So the sum of the missed moves is ``mean / sqrt(square)``
times one number, which depends on the step that last used the row. Applying that sum before the
row is read again gives the result of dense Adam (except for ``eps``, which matters only where a
row has had almost no gradient), at the cost of the rows in the batch.

Source of Adam and its constants: Kingma and Ba, "Adam: a method for stochastic optimization",
ICLR 2015, algorithm 1.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

_STEPS = 1024
_FADED = 256  # (beta1 / sqrt(beta2))**256 is 2e-12: a row no longer moves by then


class RowAdam(Optimizer):
    """Adam for tables with sparse gradients.

    Parameters
    ----------
    parameters : iterable of Tensor
        Float32 of shape ``(rows, width)``; their gradients are sparse in rows.
    lr : float
        Step size, above 0.
    betas : tuple of float
        Decay of the mean and of the square, in (0, 1).
    eps : float
        Added to the root of the square.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps})
        for table in self._tables():
            self.state[table] = {
                "step": torch.zeros(1, dtype=torch.int64),
                "mean": torch.zeros_like(table),
                "square": torch.zeros_like(table),
                "touched": torch.zeros(len(table), dtype=torch.int64, device=table.device),
                # By step: the missed moves of a row that was last used in that step.
                "way": torch.zeros(_STEPS, device=table.device),
            }

    @torch.no_grad()
    def catch_up(self, table: Tensor, rows: Tensor | None = None) -> None:
        """Move rows (distinct indices; None for all) to where dense Adam would have them."""
        if rows is None:
            rows = torch.arange(len(table), device=table.device)
        state, group = self.state[table], self.param_groups[0]
        now = int(state["step"])
        touched = state["touched"][rows]
        behind = touched < now
        rows, touched = rows[behind], touched[behind]
        mean, square = state["mean"][rows], state["square"][rows]
        way = state["way"][touched].unsqueeze(-1)
        beta1, beta2 = group["betas"]
        eps = group["eps"] * math.sqrt(1 - beta2 ** max(1, now))
        table.index_add_(0, rows, -way * mean / (square.sqrt() + eps))
        missed = (now - touched).unsqueeze(-1)
        state["mean"][rows] = mean * beta1**missed
        state["square"][rows] = square * beta2**missed
        state["touched"][rows] = now

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a saved state."""
        super().load_state_dict(state_dict)
        # PyTorch has turned everything into floats, counts of steps too.
        for position, table in enumerate(self._tables()):
            for name, value in state_dict["state"][position].items():
                self.state[table][name] = value.detach().clone().to(self.state[table][name].device)

    def step(self, closure: None = None) -> None:  # type: ignore[override] # noqa: ARG002
        """Take a step with the current gradients."""
        for table in self._tables():
            if table.grad is not None:
                gradient = table.grad.coalesce()
                self._step(table, gradient.indices()[0], gradient.values())

    @torch.no_grad()
    def _step(self, table: Tensor, rows: Tensor, gradient: Tensor) -> None:
        self.catch_up(table, rows)
        state, group = self.state[table], self.param_groups[0]
        beta1, beta2 = group["betas"]
        state["step"] += 1
        now = int(state["step"])
        mean = state["mean"][rows].lerp_(gradient, 1 - beta1)
        square = state["square"][rows].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        # Both bias corrections are applied to the rate and to eps, so that rows can fade.
        unbiased = math.sqrt(1 - beta2**now)
        rate = group["lr"] * unbiased / (1 - beta1**now)
        table.index_add_(0, rows, -rate * mean / (square.sqrt() + group["eps"] * unbiased))
        state["mean"][rows], state["square"][rows], state["touched"][rows] = mean, square, now
        if now == len(state["way"]):
            state["way"] = torch.cat([state["way"], torch.zeros_like(state["way"])])
        since = slice(max(0, now - _FADED), now)
        faded = (beta1 / math.sqrt(beta2)) ** torch.arange(now - since.start, 0, -1)
        state["way"][since] += rate * faded.to(table.device)

    def _tables(self) -> list[Tensor]:
        return [table for group in self.param_groups for table in group["params"]]
