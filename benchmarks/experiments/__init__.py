"""Experiments: grids of trainings that run for hours, resume, and keep their raw results beside them."""
