"""The operators of ONNX, written in PyTorch: one family a file, all of them in `registry.OPERATORS`."""
