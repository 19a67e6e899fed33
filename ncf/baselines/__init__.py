"""Simple models in NumPy and SciPy, to compare networks with: popularity, item-kNN, EASE, iALS."""
