"""Run ``ncf`` as ``python -m ncf``, which ``torchrun -m ncf`` needs."""

from ncf.cli import main

main()
