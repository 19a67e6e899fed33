"""``python -m ncf`` is ``ncf``, for ``torchrun -m ncf``."""

from ncf.cli import main

main()
