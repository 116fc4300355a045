"""Workspaces: which documents people use together, from a log of their accesses."""
