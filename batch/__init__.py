"""Every user's top-K as one published table."""
