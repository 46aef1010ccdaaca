"""From HRTEM micrographs of two-dimensional materials to atoms, bonds, rings and their statistics."""

__version__ = "0.9.0"
