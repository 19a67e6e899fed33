"""From weights to ONNX: the graphs that score pairs and rank the catalogue."""
