"""Alt text: each figure carries a sentence that a screen reader can read aloud.

JupyterLab shows a PNG output without any alt text, whatever its metadata says. A
figure of the course is therefore shown as HTML: an image with its `alt`. JupyterLab,
a site and a code host's viewer all pass that on.
"""

from __future__ import annotations

import base64
import html
import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["DescribedFigure", "alt_text", "describe", "image_html"]


class DescribedFigure(Figure):
    """A figure with a sentence that says what it shows, numbers included."""

    description = ""

    def _ipython_display_(self) -> None:
        from IPython.display import display

        bundle = {"text/html": image_html(self), "text/plain": alt_text(self)}
        display(bundle, raw=True)


def describe(drawn: Figure | Axes, sentence: str) -> None:
    """Give a figure its sentence, made from the data that the figure shows."""
    drawn.figure.description = sentence


def alt_text(figure: Figure) -> str:
    """The figure's title and its description."""
    parts = [figure.get_suptitle(), getattr(figure, "description", "")]
    return ". ".join(part.strip().rstrip(".") for part in parts if part.strip())


def image_html(figure: Figure) -> str:
    """The figure as an HTML image with its alt text."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    data = base64.b64encode(content.getvalue()).decode()
    alt = html.escape(alt_text(figure))
    return f'<img alt="{alt}" src="data:image/png;base64,{data}">'
