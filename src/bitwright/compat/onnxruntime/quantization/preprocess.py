"""`python -m bitwright.compat.onnxruntime.quantization.preprocess --input MODEL --output OUT`, as of ONNX Runtime."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bitwright.compat.onnxruntime.quantization.shape_inference import quant_pre_process
from bitwright.errors import BitwrightError, UsageError

__all__ = ["main", "quant_pre_process"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and run. 0 done, 1 refused, 2 usage."""
    parser = argparse.ArgumentParser(prog="python -m bitwright.compat.onnxruntime.quantization.preprocess")
    parser.add_argument("--input", required=True, metavar="MODEL")
    parser.add_argument("--output", required=True, metavar="OUT")
    for switch in ("skip_optimization", "skip_onnx_shape", "skip_symbolic_shape"):
        parser.add_argument(f"--{switch}", type=bool, default=False)
    for switch in ("auto_merge", "guess_output_rank", "save_as_external_data", "all_tensors_to_one_file"):
        parser.add_argument(f"--{switch}", action="store_true")
    parser.add_argument("--int_max", type=int, default=2**31 - 1)
    parser.add_argument("--verbose", type=int, default=0)
    parser.add_argument("--external_data_location")
    parser.add_argument("--external_data_size_threshold", type=int, default=1024)
    asked = vars(parser.parse_args(arguments))
    try:
        quant_pre_process(asked.pop("input"), asked.pop("output"), **asked)
    except BitwrightError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
