"""Operators of a Program as steps of the engine: one family a file."""
