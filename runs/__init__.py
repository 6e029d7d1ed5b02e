"""Commands: the only place where configuration, data and models meet."""

from pathlib import Path

# Others have packages of our names, too, and whichever Python finds first wins: Hugging Face's datasets, or a
# utils.py beside a program that uses ours.
try:
    import datasets.records  # noqa: F401
    import models.peer_config  # noqa: F401
    import utils.disk  # noqa: F401
except ModuleNotFoundError as error:
    _checkout = str(Path(__file__).resolve().parents[1])
    raise ImportError(
        f"{error}: Python has found another package of a name of ours. Remedy: put "
        f"sys.path.insert(0, {_checkout!r}) before all other imports"
    ) from error
