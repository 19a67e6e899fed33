"""Open a bundle and score with it, by raw ids and without PyTorch; batch and handlers use this."""
