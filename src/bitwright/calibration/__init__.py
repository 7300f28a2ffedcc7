"""Calibration: samples -> Statistics. Observers, one a file; memory does not grow with the number of samples."""
