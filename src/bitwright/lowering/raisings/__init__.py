"""How each operator of a Program is spelled in ONNX: one family a file."""
