"""From a checkpoint to a bundle that proves what it holds."""
