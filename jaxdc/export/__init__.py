"""What a run found, for other programs: pictures in a folder a cluster, or a table."""
