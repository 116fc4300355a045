"""Exports the clusters of a run for other programs: image folders or tables."""
