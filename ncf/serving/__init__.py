"""Run TorchServe with safe defaults: its settings, its process, and a client that checks it."""
