"""The twin of a micrograph: the atoms that were found, imaged again, and what the image has besides."""
