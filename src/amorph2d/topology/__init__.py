"""Bonds, rings and coordination of planar networks."""
