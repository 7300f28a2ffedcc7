"""ONNX: how a quantized graph is spelled (write), and the same backwards (read)."""
