from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

def detected_isa() -> str: ...
def usable_isa() -> str: ...
def environment_cap_is_valid() -> bool: ...

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

class Plan:
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
    ) -> None: ...
    def fully_connected(
        self, x: int, y: int, weights: NDArray[np.int8], bias: NDArray[np.int32], requant: Requant, rows: int
    ) -> None: ...
