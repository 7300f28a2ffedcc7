"""The choices of clustering: where k-means begins, and how a shared value is trained."""

from __future__ import annotations

import enum
from typing import Any

from bitwright.errors import UsageError


class CentroidInitialization(enum.StrEnum):
    """Where k-means begins."""

    LINEAR = "LINEAR"
    RANDOM = "RANDOM"
    DENSITY_BASED = "DENSITY_BASED"
    KMEANS_PLUS_PLUS = "KMEANS_PLUS_PLUS"


class GradientAggregation(enum.StrEnum):
    """What a shared value gets of its members' gradients."""

    SUM = "SUM"
    AVG = "AVG"


_OUR_NAMES = {
    CentroidInitialization.LINEAR: "linear",
    CentroidInitialization.RANDOM: "random",
    CentroidInitialization.DENSITY_BASED: "density",
    CentroidInitialization.KMEANS_PLUS_PLUS: "kmeans++",
}


def init_name(given: Any) -> str:
    """What `bitwright.cluster_weights` calls it; tfmot's own enum is known by its value.

    Raises:
        UsageError: there is no such choice.

    >>> init_name(CentroidInitialization.DENSITY_BASED), init_name("LINEAR")
    ('density', 'linear')
    """
    try:
        return _OUR_NAMES[CentroidInitialization(getattr(given, "value", given))]
    except ValueError as error:
        raise UsageError(
            f"cluster_centroids_init cannot be {given!r}",
            next=f"one of {', '.join(f'CentroidInitialization.{one.name}' for one in CentroidInitialization)}",
        ) from error


def check_aggregation(given: object) -> None:
    """Refuse what is not trained here.

    Raises:
        UsageError: anything but the sum.
    """
    if getattr(given, "value", given) != GradientAggregation.SUM:
        raise UsageError(
            f"cluster_gradient_aggregation cannot be {given!r}: a shared value is trained by the sum of gradients",
            next="leave it out, and take a lower learning rate",
        )
