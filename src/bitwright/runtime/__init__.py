"""Runs Programs."""
