"""Larger pages for torch's tensors in a CPU's memory. Torch-free.

A tensor's memory comes from the system page by page. With pages of 2 MB in place of 4 kB that is quicker, and
large tensors are given back when they go, where they would otherwise leave holes between smaller ones.
"""

from __future__ import annotations

import os

SETTING = "THP_MEM_ALLOC_ENABLE"


def prefer_huge_pages() -> None:
    """Ask torch, here and in the processes that this one starts, to ask Linux for transparent huge pages.

    A value that the environment has already stays. Torch reads it at its first tensor, so call before.
    """
    os.environ.setdefault(SETTING, "1")
