"""From files and modules to graphs: ONNX, PyTorch. Frameworks are imported here, and only when called."""
