"""Structures and images of another making than the project's, and what the networks find in them."""
