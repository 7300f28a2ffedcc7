"""Loops that compute a recurrent layer: what they read, how often they run, which cell they are."""
