"""Matches of a query as one HTML file that holds its pictures, so that it opens anywhere."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from utils.atomic import replacing


class Shown(Protocol):
    """What a gallery shows of a match."""

    @property
    def path(self) -> str:
        """The video."""

    @property
    def similarity(self) -> float:
        """With the query."""

    @property
    def picture(self) -> Path:
        """A JPEG file."""


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{query}</title>
<style>
body {{ margin: 2rem auto; max-width: 72rem; padding: 0 1rem; font: 16px/1.4 system-ui, sans-serif;
  background: #fafafa; color: #18181b; }}
h1 {{ font-size: 1.3rem; }}
.matches {{ display: flex; flex-wrap: wrap; gap: 1rem; }}
figure {{ flex: 0 1 22rem; margin: 0; background: white; border: 1px solid #e4e4e7; border-radius: 6px;
  overflow: hidden; }}
img {{ display: block; width: 100%; }}
figcaption {{ padding: .5rem .75rem; font-size: .85rem; overflow-wrap: anywhere; }}
b {{ font-variant-numeric: tabular-nums; }}
</style>
</head>
<body>
<h1>“{query}”</h1>
<div class="matches">
{figures}
</div>
</body>
</html>
"""
_FIGURE = """<figure>
<a href="{link}"><img src="data:image/jpeg;base64,{picture}" alt="frames of {name}"></a>
<figcaption>{rank}. <b>{similarity:.3f}</b> {name}</figcaption>
</figure>"""


def write_gallery(path: Path, query: str, matches: Sequence[Shown]) -> None:
    """Write the page; every picture links to its video."""
    figures = [
        _FIGURE.format(
            link=html.escape(Path(match.path).absolute().as_uri()),
            picture=base64.b64encode(match.picture.read_bytes()).decode("ascii"),
            name=html.escape(Path(match.path).name),
            rank=rank,
            similarity=match.similarity,
        )
        for rank, match in enumerate(matches, start=1)
    ]
    page = _PAGE.format(query=html.escape(query), figures="\n".join(figures))
    with replacing(str(path)) as partial:
        Path(partial).write_text(page, encoding="utf-8", errors="backslashreplace")
