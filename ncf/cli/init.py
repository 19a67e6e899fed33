"""``ncf init`` prints files to begin with."""

import ncf
from ncf.cli.output import say


def gates() -> None:
    """Print a file of gates with comments, for 'ncf batch --gate'.

    Example: ncf init gates > gates.toml
    """
    say(ncf.default_gates().rstrip("\n"))
