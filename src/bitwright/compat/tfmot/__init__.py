"""TensorFlow Model Optimization Toolkit's names, on Keras 3 models.

    import bitwright.compat.tfmot as tfmot

stands for `import tensorflow_model_optimization as tfmot`; what follows in a script stays as it is: `model.compile`,
`model.fit`, `evaluate`, `predict` train and measure what these functions give.

Keras runs on its torch backend, since that is what trains here: set `KERAS_BACKEND=torch` in the environment, or
`os.environ["KERAS_BACKEND"] = "torch"` before Keras is imported. Models of other backends are saved as `.keras`, and
read again on this one. Nothing of Keras is imported before a function that needs it is called for.
"""

from bitwright.compat.tfmot import clustering, experimental, quantization, sparsity

__all__ = ["clustering", "experimental", "quantization", "sparsity"]
