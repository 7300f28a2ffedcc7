"""Calibration tables of other runtimes as text: one format a file, and what they have in common."""
