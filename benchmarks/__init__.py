"""The toolkit against its peers, each comparison in one run."""
