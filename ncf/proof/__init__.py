"""How equal two computations are, and how sure a recall is: tolerance, parity, recall, audit."""
