"""Open a bundle and score with it: raw ids in and out, no torch. Shared by batch and handlers."""
