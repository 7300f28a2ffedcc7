"""The converters of TensorFlow 1: TFLiteConverter as tf.compat.v1.lite has it, and TocoConverter."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Self

from bitwright.compat.tflite.converter import TFLiteConverter


class TFLiteConverterV1(TFLiteConverter):
    """TFLiteConverter with TensorFlow 1's order of arguments."""

    @classmethod
    def from_saved_model(  # type: ignore[override]  # TensorFlow's two versions take other arguments by position
        cls,
        saved_model_dir: str | os.PathLike[str],
        input_arrays: Sequence[str] | None = None,
        input_shapes: Mapping[str, Sequence[int] | None] | None = None,
        output_arrays: Sequence[str] | None = None,
        tag_set: Sequence[str] | None = None,
        signature_key: str | None = None,
    ) -> Self:
        """Of a SavedModel folder; see TFLiteConverter.from_saved_model."""
        keys = None if signature_key is None else [signature_key]
        return super().from_saved_model(
            saved_model_dir,
            keys,
            tag_set,
            input_arrays=input_arrays,
            input_shapes=input_shapes,
            output_arrays=output_arrays,
        )


class TocoConverter(TFLiteConverterV1):
    """The first name of TFLiteConverter."""
