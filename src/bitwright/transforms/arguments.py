"""What stands behind the = of an argument, read: every text that was given for it -> a value."""

from __future__ import annotations

from collections.abc import Callable

Reader = Callable[[tuple[str, ...]], object]


def whole_number(texts: tuple[str, ...]) -> int:
    """The last text as an integer."""
    return int(texts[-1])


def number(texts: tuple[str, ...]) -> float:
    """The last text as a number."""
    return float(texts[-1])


def truth(texts: tuple[str, ...]) -> bool:
    """The last text as true or false."""
    return {"true": True, "1": True, "false": False, "0": False}[texts[-1].lower()]


def word(texts: tuple[str, ...]) -> str:
    """The last text as it is."""
    return texts[-1]


def names(texts: tuple[str, ...]) -> tuple[str, ...]:
    """All names; several in one text are divided by commas."""
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())


def sizes(texts: tuple[str, ...]) -> tuple[int, ...]:
    """The last text as the numbers of a shape.

    >>> sizes(("1,299,299,3",))
    (1, 299, 299, 3)
    """
    return tuple(int(size) for size in texts[-1].split(","))


def all_sizes(texts: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """Every text as a shape."""
    return tuple(sizes((text,)) for text in texts)


#: What a value must be, for those that not every text can be.
FORMS: dict[Reader, str] = {
    whole_number: "a whole number",
    number: "a number",
    truth: "true or false",
    sizes: 'numbers with commas between, in quotes: "1,299,299,3"',
    all_sizes: 'numbers with commas between, in quotes: "1,299,299,3"',
}
