"""The inputs of an export: model, data and options."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncf.data.prepared import PreparedData
from ncf.errors import UsageError
from ncf.policies import ColdUser
from ncf.training.checkpoint import Checkpoint
from ncf.training.rankers import require_rows


@dataclass(frozen=True)
class Source:
    """The inputs of a bundle.

    Parameters
    ----------
    checkpoint : Checkpoint
        The trained model, with honest weights and maybe product weights.
    data : PreparedData
        Data of the training, which gives seen items and their popularity.
    cold_user : ColdUser
        What strangers get.
    screen : bool
        Whether to try to make a screen.
    fold_in : bool
        Whether to try to fold strangers in.
    min_history : int or None
        Shortest history to fold in; None measures it.

    Raises
    ------
    ArtifactError
        The checkpoint was trained on other data.
    UsageError
        ``min_history`` is less than 1, or the model has no row for a user.
    """

    checkpoint: Checkpoint
    data: PreparedData
    cold_user: ColdUser = ColdUser.POPULAR
    screen: bool = True
    fold_in: bool = True
    min_history: int | None = None

    def __post_init__(self) -> None:
        """Check that the model was trained on the data, and the range."""
        if self.min_history is not None and self.min_history < 1:
            raise UsageError(f"`min_history` {self.min_history} is less than 1")
        self.checkpoint.require_data(self.data)
        require_rows(self.checkpoint)

    @property
    def exported(self) -> Checkpoint:
        """The checkpoint with the weights to export: the product's where there are any."""
        return self.checkpoint.exported()

    def trained_users(self) -> npt.NDArray[np.bool_]:
        """Whether the exported weights have a training pair of each user, bool ``(users,)``."""
        return (self.data.joined() if self.exported.saw_all else self.data).trained()
