"""Define what a run's manifest says about the proof of its recall."""

from dataclasses import dataclass, field

from ncf.records import KEY, optional


@dataclass(frozen=True)
class AuditPlan:
    """The plan of a screened run's audit.

    Parameters
    ----------
    pairs_a_user : float
        Expected number of pairs for each user.
    seed : int
        Seed of the draws of pairs.
    target : float
        Recall to prove.
    confidence : float
        Confidence of this proof alone.
    number : int
        Number of the round, from 1.
    """

    pairs_a_user: float
    seed: int
    target: float
    confidence: float
    number: int


@dataclass(frozen=True)
class RecallProof:
    """The recall that the audit of a screened run has proven.

    Parameters
    ----------
    target : float
        Recall to prove.
    lower_bound, estimate : float
        Lower bound and estimate of the whole table's recall.
    confidence : float
        Confidence of the bound, however many rounds there were.
    number : int
        Count of rounds; ``try`` in JSON.
    method : str
        Method of the bound.
    seed : int
        Seed of the draws of pairs.
    candidates : int
        Number of items scored exactly for each user.
    drawn, missed, population, listed : float, int, int, int
        The sample; see :class:`ncf.proof.recall.PairSample`.
    confidence_of_this_try : float or None
        In runs of earlier versions, the confidence of the last try alone.
    """

    target: float
    lower_bound: float
    estimate: float
    confidence: float
    number: int = field(metadata={KEY: "try"})
    method: str
    seed: int
    candidates: int
    drawn: float
    missed: int
    population: int
    listed: int
    confidence_of_this_try: float | None = optional()
