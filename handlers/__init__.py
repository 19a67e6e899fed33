"""The TorchServe handler: HTTP rows in, scoring, HTTP rows out."""
