"""Fit the screen of a bundle to the model, measure it, and leave it out if it is no faster."""
