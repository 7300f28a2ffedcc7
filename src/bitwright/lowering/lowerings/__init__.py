"""One family of ONNX operators a file: each gives its LOWERINGS, a function a name."""
