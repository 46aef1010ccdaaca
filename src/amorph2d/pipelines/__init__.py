"""Kedro pipelines: synthesis, training, inference, statistics."""
