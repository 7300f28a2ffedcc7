"""TensorFlow's and Keras's models -> Graph, through frozen GraphDefs and tf2onnx. Imported when called."""
