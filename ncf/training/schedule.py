"""Define schedules, which say how one network is trained."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Blocks(BaseModel):
    """Training of GMF on all pairs, a block of users at a time; see :mod:`ncf.training.blocks`.

    Parameters
    ----------
    users : int
        Largest number of users in a block, over all processes.
    steps : int
        Least number of blocks in an epoch, where there are as many users.
    items : int
        Number of random items that a block learns from, beside those of its training pairs; a
        catalogue of at most twice as many is taken whole.
    unseen : float
        Least weight of an unseen pair in the loss, above 0; a training pair weighs 1.
    negatives : float
        Least weight of all unseen pairs together, for each training pair: in dense data a pair
        that is unseen says more, and weighs more than ``unseen``.
    popularity : float
        That weight is multiplied by the item's count of pairs to this power, at a mean of 1.
    user_rate : float
        Step size of users' rows, above 0, which step once in an epoch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    users: int = Field(default=256, ge=1, le=2**20)
    steps: int = Field(default=48, ge=1, le=2**20)
    items: int = Field(default=10_000, ge=1, le=2**24)
    unseen: float = Field(default=0.15, gt=0, allow_inf_nan=False)
    negatives: float = Field(default=6.0, ge=0, allow_inf_nan=False)
    popularity: float = Field(default=0.0, ge=-2, le=2)
    user_rate: float = Field(default=0.4, gt=0, allow_inf_nan=False)


class Start(BaseModel):
    """A GMF, trained by blocks, whose embeddings a network starts from.

    Parameters
    ----------
    epochs : int
        Number of its epochs.
    learning_rate, l2, averaging : float
        As in :class:`Schedule`, for training by blocks.
    scale : float
        Root mean square, above 0, of the embeddings that a tower starts with.
    blocks : Blocks
        Its blocks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(default=16, ge=1, le=10**6)
    learning_rate: float = Field(default=0.006, gt=0, allow_inf_nan=False)
    l2: float = Field(default=0.28, ge=0, allow_inf_nan=False)
    averaging: float = Field(default=0.25, ge=0, le=1)
    scale: float = Field(default=0.2, gt=0, allow_inf_nan=False)
    blocks: Blocks = Blocks()


class Schedule(BaseModel):
    """The schedule of one network's training.

    Parameters
    ----------
    optimizer : {"adam", "sgd"}
        Adam (Kingma and Ba, 2015) or plain stochastic gradient descent.
    learning_rate : float
        Step size, above 0.
    decay : float
        Factor on the learning rate after each epoch, in (0, 1].
    batch_size : int
        Samples in a step, positives and negatives together.
    negatives : int
        Number drawn for each training pair, newly in each epoch.
    l2 : float
        Weight, at least 0, of squared embeddings in the loss: over positives, the mean of
        ``|p_u|^2 + |q_i|^2 + mean(|q_j|^2)`` with negatives j. Users and items are regularised as
        often as they occur, as in Rendle et al., "Neural collaborative filtering vs. matrix
        factorization revisited", RecSys 2020.
    l2_warmup : float
        Number of epochs, at least 0, over which the weight of L2 rises from 0: embeddings start
        near zero, where L2 would only slow them down.
    averaging : float
        Share of the training so far, in [0, 1], over whose newest part weights are averaged for
        validation and the checkpoint; 0 takes the current weights. See :class:`Average`.
    epochs : int
        Largest number of epochs. Only a schedule that begins from parents or a ``start`` may have
        0, which keeps what it begins from.
    patience : int
        Number of epochs without a better validation NDCG@10 after which training stops.
    blocks : Blocks or None
        Learn from all pairs by blocks of users, GMF only. Then ``learning_rate`` is that of items,
        ``l2`` weights a row's squares times the square root of its count of pairs, and
        ``optimizer``, ``batch_size``, ``negatives`` and ``l2_warmup`` have no effect.
    start : Start or None
        Start the embeddings of an MLP or a NeuMF from a GMF that is trained first; that counts as
        the first epoch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(default=0.001, gt=0, allow_inf_nan=False)
    decay: float = Field(default=1.0, gt=0, le=1)
    batch_size: int = Field(default=256, ge=1, le=2**24)
    negatives: int = Field(default=4, ge=1, le=1000)
    l2: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    l2_warmup: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    averaging: float = Field(default=0.0, ge=0, le=1)
    epochs: int = Field(default=20, ge=0, le=10**6)
    patience: int = Field(default=5, ge=1, le=10**6)
    blocks: Blocks | None = None
    start: Start | None = None
