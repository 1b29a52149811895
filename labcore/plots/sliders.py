"""Sliders: a picture that follows the hand, and is measured in full once it rests."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

__all__ = ["explore"]

REST_SECONDS = 0.5


def explore(
    draw: Callable[[float, bool], Figure],
    *,
    name: str,
    start: float,
    stop: float,
    step: float,
    value: float,
):
    """A slider above the picture `draw(value, exact)`.

    While the slider moves, exact is False (a quick look); after half a second of rest
    the picture is drawn once more with exact = True.
    """
    import ipywidgets as widgets

    slider = widgets.FloatSlider(
        value,
        min=start,
        max=stop,
        step=step,
        description=name,
        readout_format=".3f" if step < 0.01 else ".2f",
        style={"description_width": "initial"},
        layout={"width": "60%"},
    )
    picture = widgets.Image(format="png", layout={"max_width": "100%"})
    resting: list[asyncio.TimerHandle] = []

    def show(exact: bool) -> None:
        picture.value = _png(draw(slider.value, exact))

    def moved(_change) -> None:
        while resting:
            resting.pop().cancel()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no kernel, so nothing that could call back later
            show(exact=True)
            return
        show(exact=False)
        resting.append(loop.call_later(REST_SECONDS, show, True))

    slider.observe(moved, names="value")
    show(exact=True)
    return widgets.VBox([slider, picture])


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    plt.close(figure)  # else the notebook would show it a second time
    return content.getvalue()
