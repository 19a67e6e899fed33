"""Average a network's weights over the newest part of its training."""

import copy

import torch

from ncf.models.networks import Network


class Average:
    """Averages weights over about the newest ``share`` of the training so far.

    The span grows with the training: the average follows quickly at first and is smooth at the
    end, so a large learning rate need not be reduced. A time ``t`` has weight
    ``t**(1/share - 1)``, the polynomial decay of Shamir and Zhang, "Stochastic gradient descent
    for non-smooth optimization", ICML 2013, section 4.

    Parameters
    ----------
    network : Network
        Network to copy; the copy holds the average.
    share : float
        Share of the training, in [0, 1]; 0 takes the current weights.
    """

    def __init__(self, network: Network, share: float) -> None:
        self.network = copy.deepcopy(network)
        self.share = share

    @torch.no_grad()
    def take(self, network: Network, since: float, now: float) -> None:
        """Add the weights of a span of the training to the average.

        Parameters
        ----------
        network : Network
            Has the weights at the end of the span.
        since, now : float
            The span, in epochs from the start; ``0 <= since < now``. A span from 0 replaces the
            average.
        """
        past = (since / now) ** (1 / self.share) if self.share else 0.0
        for average, weights in zip(self.network.parameters(), network.parameters(), strict=True):
            average.lerp_(weights, 1 - past)
