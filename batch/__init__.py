"""Publish a table of every user's top-K list."""
