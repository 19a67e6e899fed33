"""Define what a run's manifest says about lists that were taken over."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Taken:
    """The lists of a run that were taken over from an earlier one.

    Parameters
    ----------
    run : str
        Name of the earlier run; empty if nothing was published yet.
    users_taken, users_ranked : int
        Count of the ranked users whose lists were taken over, and of the others.
    reason : str
        Why none could be taken over; empty if some could.
    instruction_set : str
        Kind of the processor that both runs were made on.
    """

    run: str
    users_taken: int
    users_ranked: int
    reason: str = ""
    instruction_set: str = ""
