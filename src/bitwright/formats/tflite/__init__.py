"""The .tflite file: a FlatBuffer of TensorFlow Lite's schema."""
