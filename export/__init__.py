"""Export checkpoints as bundles, archives and Triton repositories."""
