"""Ranking and scoring graphs: from weights to ONNX."""
