"""Several devices and processes: joining, meshes, and detecting a lost process."""
