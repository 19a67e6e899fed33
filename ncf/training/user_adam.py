"""Adam for a table of which each row is stepped once in an epoch."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_BETAS = (0.9, 0.999)
_EPS = 1e-8


class UserAdam(Optimizer):
    """Adam (Kingma and Ba, ICLR 2015) by row: a row's moments change only when the row is stepped.

    It is Adam of each row alone, as if its steps were all there were. Rows that are stepped once
    in an epoch have all taken as many steps.

    Parameters
    ----------
    tables : iterable of Parameter
        Tables of float32 rows.
    lr : float
        Step size, above 0.
    """

    def __init__(self, tables: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(list(tables), {"lr": lr})
        for group in self.param_groups:
            for table in group["params"]:
                self.state[table] = {
                    "mean": torch.zeros_like(table),
                    "square": torch.zeros_like(table),
                }

    @torch.no_grad()
    def step_rows(self, table: nn.Parameter, rows: Tensor, gradient: Tensor, count: int) -> None:
        """Step some rows.

        Parameters
        ----------
        table : Parameter
            One of the tables.
        rows : int64 tensor of shape (n,)
            Its rows to step, each once.
        gradient : float32 tensor of shape (n, width)
            Their gradient.
        count : int
            Steps of these rows, this one included, from 1.
        """
        state, lr = self.state[table], self.param_groups[0]["lr"]
        mean = state["mean"][rows].lerp_(gradient, 1 - _BETAS[0])
        square = state["square"][rows].lerp_(gradient.square(), 1 - _BETAS[1])
        state["mean"][rows], state["square"][rows] = mean, square
        size = lr / (1 - _BETAS[0] ** count)
        table[rows] -= size * mean / ((square / (1 - _BETAS[1] ** count)).sqrt() + _EPS)
