"""Neural collaborative filtering from a ratings file to production."""
