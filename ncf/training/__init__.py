"""Train networks: recipes, epochs, checkpoints, tuning."""
