"""The constants: QuantType, QuantFormat, and how members of ONNX Runtime's own enumerations are recognised."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

from bitwright.errors import UsageError

Member = TypeVar("Member", bound=Enum)


class _Named(Enum):
    """Members that are written and read by name, as argparse wants them."""

    def __str__(self) -> str:
        return self.name

    @classmethod
    def from_string(cls, name: str) -> Any:
        """The member of this name.

        Raises:
            UsageError: there is none.
        """
        return member_of(cls, name, cls.__name__)


class QuantType(_Named):
    """What integers tensors are stored in."""

    QInt8 = 0
    QUInt8 = 1
    QFLOAT8E4M3FN = 2
    QInt16 = 3
    QUInt16 = 4
    QInt4 = 5
    QUInt4 = 6


class QuantFormat(_Named):
    """How a quantized model is spelled. QDQ is written; QOperator is refused."""

    QOperator = 0
    QDQ = 1


def member_of(kind: type[Member], value: Any, argument: str) -> Member:
    """A member of this enumeration, of the enumeration of the same name elsewhere, or a member's name.

    Raises:
        UsageError: it names no member.

    >>> member_of(QuantType, "QInt8", "weight_type")
    <QuantType.QInt8: 0>
    """
    name = value if isinstance(value, str) else getattr(value, "name", None)
    if not isinstance(name, str) or name not in kind.__members__:
        raise UsageError(
            f"{argument} cannot be {value!r}",
            next=f"one of {', '.join(f'{kind.__name__}.{n}' for n in kind.__members__)}",
        )
    return kind[name]
