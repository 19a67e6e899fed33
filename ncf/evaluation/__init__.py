"""Evaluate models by ranked lists, over sampled negatives or over the whole catalogue."""
