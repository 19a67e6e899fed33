"""Metrics of ranked lists, over sampled negatives and over the whole catalogue."""
