"""What inputs and outputs of a Program may hold, by the names that users give."""

from __future__ import annotations

PORT_TYPES = {"float32": "f32", "int8": "i8", "uint8": "u8", "int16": "i16"}

#: The same by storage type.
PORT_NAMES = {storage: name for name, storage in PORT_TYPES.items()}
