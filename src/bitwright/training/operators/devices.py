"""Operands that meet on one device."""

from __future__ import annotations

from typing import Any


def on_one_device(*operands: Any) -> tuple[Any, ...]:
    """The operands, those in main memory moved to the accelerator when another operand is there.

    Shapes, and constants made from shapes, stay in main memory until they meet activations.
    """
    devices = {x.device for x in operands if x is not None}
    if len(devices) < 2:
        return operands
    device = next(device for device in devices if device.type != "cpu")
    return tuple(None if x is None else x.to(device) for x in operands)
