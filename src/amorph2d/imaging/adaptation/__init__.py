"""Adaptation of simulated sets to a microscope: measure its conditions, narrow the ranges, compare."""
