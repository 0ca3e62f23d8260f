"""Methods: one file each. `base` has the two protocols."""
