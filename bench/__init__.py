"""Measurements: `python -m bench.<name>` from the repository's root. What each says is in docs/performance.md."""
