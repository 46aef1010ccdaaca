"""From atoms to micrographs: exit waves, optics, detector."""
