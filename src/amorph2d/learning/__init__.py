"""Residual U-Nets: network, targets, training, evaluation."""
