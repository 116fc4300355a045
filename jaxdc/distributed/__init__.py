"""Several devices and several processes: joining, meshes, and noticing a process that is gone."""
