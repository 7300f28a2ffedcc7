"""The suffixes that choose a table's format."""

from __future__ import annotations

TENSORRT, NCNN = ".cache", ".table"
TABLE_SUFFIXES = (TENSORRT, NCNN)
