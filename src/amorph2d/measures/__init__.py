"""Lengths, angles, pair distribution and their intervals."""
