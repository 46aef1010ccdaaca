"""Positions of atoms fitted to the image itself."""
