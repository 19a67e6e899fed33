"""Prove that computations agree, and bound a recall: tolerance, parity, recall, audit."""
