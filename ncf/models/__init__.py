"""GMF, MLP and NeuMF as PyTorch modules; nothing but the maths."""
