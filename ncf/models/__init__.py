"""GMF, MLP and NeuMF as PyTorch modules: the maths alone."""
