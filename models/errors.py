"""Errors of models that people can mend. Torch-free."""

from __future__ import annotations


class ConversionError(ValueError):
    """A file of weights that cannot be read, or whose keys or shapes are not what its layout promises."""
