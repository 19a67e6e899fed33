"""Implement the names of ``import ncf``; this is the top layer."""
