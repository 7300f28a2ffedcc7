"""Helpers on onnx_ir graphs: file input and output, constants, text form, float execution."""
