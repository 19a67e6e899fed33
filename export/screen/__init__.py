"""The screen of a bundle: fitted to the model, measured, and left out where it does not pay."""
