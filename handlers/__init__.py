"""The TorchServe handler: it takes HTTP rows, scores them, and returns HTTP rows."""
