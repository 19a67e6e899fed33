"""What the names of ``import ncf`` do: the top layer, over all the rest."""
