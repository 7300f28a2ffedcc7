"""The compressed container: a model file whose tensors are coded one by one (docs/bwz.md)."""
