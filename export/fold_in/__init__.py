"""Fit the map that folds in, and measure at export how good the rows are that it makes."""
