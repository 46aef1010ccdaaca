"""Kedro datasets: all reading and writing of files."""
