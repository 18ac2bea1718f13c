"""Pictures in the page: a matplotlib figure as inline SVG whose colours follow the reader's light or dark setting."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

from markupsafe import Markup, escape

#: a colour of ``plots.style`` and the page's own for it; what is not here stays as drawn
_COLOURS = {
    "#3a3a3a": "currentColor",
    "#e3e3e0": "var(--grid)",
    "#f1f1ef": "var(--given)",
    "#8a8a8a": "var(--axis)",
    "#9a9a95": "var(--axis)",
    "#1f66ad": "var(--data)",
    "#e8710a": "var(--forecast)",
    "#b3261e": "var(--bad)",
    "#ffffff": "var(--paper)",
}
#: above this many bytes a picture of very many marks is carried as PNG
LARGEST = 600_000


def inline(figure: Any, number: int, alt: str) -> Markup:
    """The figure as an ``<svg>`` (a PNG where that would be huge), with ``alt`` for those who do not see it.

    ``number`` keeps the ids of several pictures of one page apart.
    """
    import matplotlib

    figure.patch.set_alpha(0)
    for ax in figure.axes:
        ax.patch.set_alpha(0)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": f"bayeslaw-{number}"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    if len(text) > LARGEST:
        return _png(figure, alt)
    text = text[text.index("<svg") :]
    # the metadata name vocabularies by their addresses, and the page shall name none
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    for drawn, own in _COLOURS.items():
        text = text.replace(drawn, own)
    text = re.sub(r'\bid="', f'id="f{number}-', text)
    text = re.sub(r"url\(#", f"url(#f{number}-", text)
    text = re.sub(r'xlink:href="#', f'href="#f{number}-', text)
    width = float(re.search(r'width="([\d.]+)pt"', text)[1])  # type: ignore[index]
    head = f'<svg role="img" aria-label="{escape(alt)}" style="--natural: {width * 4 / 3:.0f}px" '
    text = re.sub(r'(?<=<svg )(.*?)width="[\d.]+pt" height="[\d.]+pt"', r"\1", text, count=1, flags=re.S)
    return Markup(text.replace("<svg ", head, 1))


def _png(figure: Any, alt: str) -> Markup:
    buffer = io.BytesIO()
    figure.patch.set_alpha(1)
    figure.savefig(buffer, format="png", dpi=150)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(alt, data)
