from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

def detected_isa() -> str: ...
def usable_isa() -> str: ...
def environment_cap_is_valid() -> bool: ...
def fold_bias(
    weights: NDArray[np.int8], bias: NDArray[np.int32], zero_point: int, folded: NDArray[np.int32]
) -> None: ...

class Requant:
    def __init__(
        self,
        rounding: str,
        zero_point: int,
        qmin: int,
        qmax: int,
        scale: NDArray[np.float32],
        multiplier: NDArray[np.int32],
        shift: NDArray[np.int32],
        scale64: NDArray[np.float64],
    ) -> None: ...

class Port:
    def __init__(self, name: str, format: str, shape: Sequence[int], dtype: np.dtype[Any]) -> None: ...

class Face:
    def __init__(self, plan: Plan, inputs: Sequence[Port], outputs: Sequence[Port]) -> None: ...
    def run(self, feeds: dict[str, Any]) -> list[NDArray[Any]] | None: ...

class Plan:
    class QuantizedPair:
        def __init__(
            self,
            operation: str,
            zero_points: tuple[int, int],
            multipliers: tuple[int, int],
            shifts: tuple[int, int],
            left_shift: int,
            weight_shift: int,
            requant: Requant,
            below: Requant,
        ) -> None: ...

    def __init__(self, isa: str, threads: int, arena_bytes: int) -> None: ...
    def tensor(self, type: str, dims: Sequence[int], strides: Sequence[int], offset: int) -> int: ...
    def external(self, type: str, dims: Sequence[int], strides: Sequence[int], index: int) -> int: ...
    def constant(self, type: str, dims: Sequence[int], elements: bytes) -> int: ...
    def run(self, inputs: tuple[Any, ...], outputs: list[Any]) -> None: ...
    def profile(self, inputs: tuple[Any, ...], outputs: list[Any]) -> list[float]: ...
    @property
    def step_names(self) -> list[str]: ...
    @property
    def arena_bytes(self) -> int: ...
    def conv(
        self,
        x: int,
        y: int,
        weights: NDArray[np.int8],
        bias: NDArray[np.int32],
        requant: Requant,
        stride: tuple[int, int],
        dilation: tuple[int, int],
        padding: tuple[int, int],
        groups: int,
        y_first: tuple[int, int] = (0, 0),
        y_step: tuple[int, int] = (1, 1),
        pair: QuantizedPair | None = None,
        other: int = -1,
        is_first: bool = True,
    ) -> None: ...
    def fully_connected(
        self,
        x: int,
        y: int,
        weights: NDArray[np.int8],
        bias: NDArray[np.int32],
        requant: Requant,
        rows: int,
        pair: QuantizedPair | None = None,
        other: int = -1,
        is_first: bool = True,
    ) -> None: ...
    def conv16(
        self,
        x: int,
        y: int,
        weights: NDArray[np.int8],
        bias: NDArray[np.int64],
        requant: Requant,
        stride: tuple[int, int],
        dilation: tuple[int, int],
        padding: tuple[int, int],
        groups: int,
        y_first: tuple[int, int] = (0, 0),
        y_step: tuple[int, int] = (1, 1),
    ) -> None: ...
    def fully_connected16(
        self, x: int, y: int, weights: NDArray[np.int8], bias: NDArray[np.int64], requant: Requant, rows: int
    ) -> None: ...
    def depthwise(
        self,
        x: int,
        y: int,
        weights: NDArray[np.int8],
        bias: NDArray[np.int32],
        requant: Requant,
        stride: tuple[int, int],
        dilation: tuple[int, int],
        padding: tuple[int, int],
    ) -> None: ...
    def copy(self, x: int, y: int, bias: bool) -> None: ...
    def fill_border(self, x: int, value: int, border: tuple[int, int, int, int]) -> None: ...
    def pool(
        self,
        x: int,
        y: int,
        is_mean: bool,
        window: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int],
        bias: int,
        bounds: tuple[int, int],
    ) -> None: ...
    def reduce_extreme(self, x: int, y: int, axes: Sequence[int], largest: bool) -> None: ...
    def reduce_sum(self, x: int, y: int, axes: Sequence[int], offset: int, requant: Requant) -> None: ...
    def reduce_sum_affine(
        self,
        x: int,
        y: int,
        axes: Sequence[int],
        offset: int,
        scale: float,
        shift: float,
        low: int,
        high: int,
        bias: int,
    ) -> None: ...
    def softmax(self, x: int, y: int, exponentials: NDArray[np.int32]) -> None: ...
    def softmax_real(
        self,
        x: int,
        y: int,
        exponentials: NDArray[np.float32],
        scale: float,
        zero_point: int,
        bounds: tuple[int, int],
    ) -> None: ...
    def softmax_wide(
        self,
        x: int,
        y: int,
        exponentials: NDArray[np.int16],
        inverses: NDArray[np.int16],
        multiplier: int,
        shift: int,
        is_single: bool,
    ) -> None: ...
    def log_softmax(
        self,
        x: int,
        y: int,
        exponentials: NDArray[np.int32],
        differences: NDArray[np.int32],
        lowest: int,
        multiplier: int,
        shift: int,
    ) -> None: ...
    def log_softmax_real(
        self,
        x: int,
        y: int,
        exponentials: NDArray[np.float32],
        scale_in: float,
        scale_out: float,
        bias: int,
        zero_point: int,
    ) -> None: ...
    def l2_normalization(
        self, x: int, y: int, zero_point_in: int, zero_point_out: int, is_scaled_first: bool
    ) -> None: ...
    def move(
        self,
        x: int,
        y: int,
        dims: Sequence[int],
        x_view: tuple[Sequence[int], Sequence[int], Sequence[int]],
        y_view: tuple[Sequence[int], Sequence[int], Sequence[int]],
    ) -> None: ...
    def take(self, x: int, y: int, tables: Sequence[Sequence[int]]) -> None: ...
    def fill(self, y: int, value: bytes) -> None: ...
    def fill_margin(self, y: int, value: bytes, margin: tuple[int, int, int, int]) -> None: ...
    def bilinear(
        self,
        x: int,
        y: int,
        rows: tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[float]],
        columns: tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[float]],
        bits: int,
        away: bool,
        bias: int,
    ) -> None: ...
    def pair(
        self,
        operation: str,
        a: int,
        b: int,
        y: int,
        zero_points: tuple[int, int],
        multipliers: tuple[int, int],
        shifts: tuple[int, int],
        left_shift: int,
        weight_shift: int,
        requant: Requant,
        below: Requant,
    ) -> None: ...
    def plain_pair(self, operation: str, a: int, b: int, y: int, low: float, high: float) -> None: ...
    def plain_unary(self, operation: str, x: int, y: int, low: float, high: float) -> None: ...
    def quantize(self, x: int, y: int, rule: str, factor: float, zero_point: int, bias: int) -> None: ...
    def dequantize(self, x: int, y: int, factor: float, zero_point: int) -> None: ...
    def rescale(self, x: int, y: int, zero_point: int, requant: Requant) -> None: ...
    def cast(self, x: int, y: int, x_meaning: str, y_meaning: str) -> None: ...
    def lut(self, x: int, y: int, table: NDArray[np.uint8]) -> None: ...
    def lut16(self, x: int, y: int, table: NDArray[np.int16]) -> None: ...

def encode_symbols(symbols: NDArray[Any], of: NDArray[np.uint8], contexts: int, alphabet: int) -> bytes: ...
def coded_bytes(symbols: NDArray[Any], of: NDArray[np.uint8], contexts: int, alphabet: int) -> int: ...
def decode_symbols(
    data: NDArray[np.uint8], of: NDArray[np.uint8], contexts: int, alphabet: int, symbols: NDArray[Any]
) -> bool: ...
def find_distinct(
    data: NDArray[np.uint8],
    width: int,
    limit: int,
    indices: NDArray[np.uint16],
    patterns: NDArray[np.uint64],
    counts: NDArray[np.uint64],
) -> int: ...
