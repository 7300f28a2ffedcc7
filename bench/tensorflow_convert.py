"""TensorFlow's own converter on a Keras file or SavedModel: int8 with float ports. For bench.tensorflow_models.

python bench/tensorflow_convert.py MODEL OUT.tflite SAMPLES.npy COUNT
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf


def main(model: str, output: str, samples: str, count: str) -> None:
    """Load, convert, write."""

    def rows() -> Iterator[list[np.ndarray]]:
        for row in np.load(samples, mmap_mode="r")[: int(count)]:
            yield [np.ascontiguousarray(row[None], np.float32)]

    if Path(model).is_dir():
        converter = tf.lite.TFLiteConverter.from_saved_model(model)
    else:
        try:
            loaded = tf.keras.models.load_model(model, compile=False)
        except TypeError:  # Keras 3 refuses some files of Keras 2
            import tf_keras

            loaded = tf_keras.models.load_model(model, compile=False)
        converter = tf.lite.TFLiteConverter.from_keras_model(loaded)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = rows
    Path(output).write_bytes(converter.convert())


if __name__ == "__main__":
    main(*sys.argv[1:])
