"""The embedded default: a small network for handwritten digits, its test split, and what quantizing it costs.

`digits.onnx` and `digits_test.npz` are written by `tools/train_digits.py`, in the repository.
"""
