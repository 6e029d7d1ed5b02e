"""Progress bars for people; silence for files and pipes."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def byte_progress(label: str) -> Callable[[int, int | None], None]:
    """A progress function of (bytes there are, bytes in all or None) that draws one bar.

    The bar closes itself at the last byte. On a stream that is no terminal nothing is drawn.
    """
    from tqdm import tqdm  # here: a command that downloads nothing does not pay for it

    bar = tqdm(desc=label, unit="B", unit_scale=True, unit_divisor=1024, disable=None, dynamic_ncols=True)

    def update(received: int, total: int | None) -> None:
        bar.total = total
        bar.n = received
        bar.refresh() if received == total else bar.update(0)
        if received == total:
            bar.close()

    return update


def item_progress(items: Iterable[Item], *, total: int, label: str) -> Iterator[Item]:
    """Yields the items, drawing a bar while it does."""
    from tqdm import tqdm

    yield from tqdm(items, total=total, desc=label, disable=None, dynamic_ncols=True)
