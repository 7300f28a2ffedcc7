"""What inputs and outputs of a Program may hold, by the names that users give."""

from __future__ import annotations

PORT_TYPES = {"float32": "f32", "int8": "i8", "uint8": "u8", "int16": "i16"}

#: The same by storage type.
PORT_NAMES = {storage: name for name, storage in PORT_TYPES.items()}

#: Key of the graph's metadata: JSON {"inputs": {port: type}, "outputs": {...}} of the ports that hold integers that
#: stand for reals: "int8", "uint8" or "int16". The graph has floats there.
PORTS = "bitwright.ports"
