"""The exception tree. Every error says what happened, where, and what to do next."""

from __future__ import annotations


class BitwrightError(Exception):
    """What went wrong, where, and what to do next.

    Args:
        what: one sentence, without a final period.
        where: the file, node, tensor or sample it happened at.
        next: what the user can do now.
    """

    def __init__(self, what: str, *, where: str | None = None, next: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.next = next

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.next:
            lines.append(f"  next:  {self.next}")
        return "\n".join(lines)


class UsageError(BitwrightError):
    """The call itself is wrong: an unknown mode, a malformed option. Exit code 2."""


class ModelError(BitwrightError):
    """A model that cannot be read: truncated, not a model, missing data, a cycle."""


class UnsupportedOpError(BitwrightError):
    """Operators that have no form at the asked place, all of them listed at once."""


class QuantParamsError(BitwrightError):
    """Quantization parameters that do not fit their tensor, or are not numbers."""


class SampleError(BitwrightError):
    """A calibration or evaluation sample that does not fit the model's inputs."""


class StatisticsError(BitwrightError):
    """Statistics that are missing, unreadable, or do not belong to this model."""


class RecipeError(UsageError):
    """A recipe that cannot be read or that asks for what no rule offers."""


class TransformError(BitwrightError):
    """A transform that is unknown, was called wrongly, or failed on this graph."""


class OutputError(BitwrightError):
    """A result that could not be written. Nothing half-written is left behind."""


class MissingDependencyError(BitwrightError):
    """An optional framework that this call needs is not installed."""


def reason_of(error: BaseException) -> str:
    r"""Another library's error in one line: the first of what a chain of errors began with.

    >>> reason_of(ValueError("shapes differ\nand more"))
    'shapes differ'
    """
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
