"""Build ONNX graphs from weights: graphs that score pairs and graphs that rank the catalogue."""
