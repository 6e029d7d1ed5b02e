"""A progress bar for bytes that arrive; nothing is drawn where nobody looks."""

from collections.abc import Callable


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
