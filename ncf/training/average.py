"""A running average of a network's weights, over the newest part of its training."""

import copy

import torch

from ncf.models.networks import Network


class Average:
    """The weights averaged over about the newest ``share`` of the training so far.

    Its span grows with the training: it follows quickly at first, and is calm at the end, so that
    a large learning rate need not fall. A time ``t`` has weight ``t**(1/share - 1)``, the
    polynomial decay of Shamir and Zhang, "Stochastic gradient descent for non-smooth
    optimization", ICML 2013, section 4.

    Parameters
    ----------
    network : Network
        Copied: the copy holds the average.
    share : float
        In [0, 1]; 0 takes the weights as they are.
    """

    def __init__(self, network: Network, share: float) -> None:
        self.network = copy.deepcopy(network)
        self.share = share

    @torch.no_grad()
    def take(self, network: Network, since: float, now: float) -> None:
        """Take in the weights of a span of the training.

        Parameters
        ----------
        network : Network
            Its weights at the end of the span.
        since, now : float
            The span, in epochs from the start; ``0 <= since < now``. From 0 on, what was there
            before is forgotten.
        """
        past = (since / now) ** (1 / self.share) if self.share else 0.0
        for average, weights in zip(self.network.parameters(), network.parameters(), strict=True):
            average.lerp_(weights, 1 - past)
