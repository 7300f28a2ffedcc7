"""What is wrong with a .bwz file, said in one way."""

from __future__ import annotations

from bitwright.errors import ModelError


class DamagedError(ModelError):
    """The file is not what was written.

    Args:
        how: what is wrong with it, such as "its end is missing".
    """

    def __init__(self, how: str) -> None:
        super().__init__(f"the .bwz file is damaged: {how}", next="copy or download it again, or pack the model again")
