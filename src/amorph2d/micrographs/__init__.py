"""Micrographs: reading them, their calibration, and what an image says of its own dose and contrast."""
