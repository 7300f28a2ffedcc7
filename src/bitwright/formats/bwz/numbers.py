"""Numbers of as many bytes as they need: 7 bits a byte, the lowest first, the highest bit set where another follows."""

from __future__ import annotations

from bitwright.formats.bwz.errors import DamagedError

#: What a length or a count may be at most.
_MOST_BITS = 63


def number(value: int) -> bytes:
    """A number's bytes.

    >>> number(5).hex(), number(300).hex()
    ('05', 'ac02')
    """
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Cursor:
    """A place in bytes that come from a file, which never passes their end.

    Args:
        data: the bytes.
        what: what errors call them, such as "the index".
    """

    def __init__(self, data: bytes | memoryview, what: str) -> None:
        self._data = memoryview(data)
        self._at = 0
        self.what = what

    @property
    def left(self) -> int:
        """Bytes behind the place."""
        return len(self._data) - self._at

    def number(self) -> int:
        """The number at the place.

        Raises:
            DamagedError: the bytes end in it, or it is larger than any length.
        """
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift >= _MOST_BITS:
                raise self.damaged("a number has no end")

    def take(self, count: int) -> memoryview:
        """So many bytes.

        Raises:
            DamagedError: there are fewer.
        """
        if count > self.left:
            raise self.damaged("it ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def text(self) -> str:
        """A text: its length in bytes, then UTF-8."""
        try:
            return str(self.take(self.number()), "utf-8")
        except UnicodeDecodeError as error:
            raise self.damaged("a name is no UTF-8") from error

    def rest(self) -> memoryview:
        """All bytes behind the place."""
        return self.take(self.left)

    def end(self) -> None:
        """Refuse what lies behind the place.

        Raises:
            DamagedError: something does.
        """
        if self.left:
            raise self.damaged(f"{self.left} bytes too many")

    def damaged(self, how: str) -> DamagedError:
        """The error to raise about these bytes."""
        return DamagedError(f"{self.what}: {how}")
