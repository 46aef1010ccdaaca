"""Periodic planar networks: seeds, Voronoi networks, relaxation, pores."""
