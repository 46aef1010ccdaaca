"""Figures from data; nothing here saves a file."""
