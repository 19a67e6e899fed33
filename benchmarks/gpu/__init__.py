"""The parts of ``python -m benchmarks.cuda``; each needs as little of our environment as it can."""
