"""Engines run the shards of a plan: the threads of one machine, or the nodes of a cluster.

An engine gives the receipts of parts as they come, in any order. What makes a part is
:func:`batch.sessions.work`, which needs nothing of the engine, so that engines are thin.
"""
