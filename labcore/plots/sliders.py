"""Sliders: a picture that follows the slider, and is measured fully once it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from labcore.plots.alt import image_html
from labcore.plots.style import short_name

__all__ = ["explore", "explore_each"]

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

    While the slider moves, exact is False (a quick look); half a second after it stops
    the picture is drawn again with exact = True.
    """
    import ipywidgets as widgets

    digits = 0 if step >= 1 else 3 if step < 0.01 else 2
    slider = widgets.FloatSlider(
        value,
        min=start,
        max=stop,
        step=step,
        description=name,
        readout_format=f".{digits}f",
        style={"description_width": "initial"},
        layout={"width": "60%"},
    )
    picture = _following([slider], lambda exact: draw(slider.value, exact))
    return widgets.VBox([slider, picture])


def explore_each(
    draw: Callable[[dict[str, float], bool], Figure],
    *,
    values: Mapping[str, float],
    options: Sequence[float],
):
    """A slider for each name above the picture `draw({name: value}, exact)`.

    Each takes one of the options; exact means the same as in `explore`.
    """
    import ipywidgets as widgets

    sliders = {
        name: widgets.SelectionSlider(
            options=options,
            value=value,
            description=short_name(name),
            layout={"width": "32%"},
        )
        for name, value in values.items()
    }

    def shown(exact: bool) -> Figure:
        return draw({name: slider.value for name, slider in sliders.items()}, exact)

    rows = widgets.Box(
        list(sliders.values()), layout={"display": "flex", "flex_flow": "row wrap"}
    )
    return widgets.VBox([rows, _following(list(sliders.values()), shown)])


def _following(sliders: Sequence, draw: Callable[[bool], Figure]):
    """The picture `draw(exact)`, drawn again whenever a slider is moved."""
    import ipywidgets as widgets

    picture = widgets.HTML(layout={"max_width": "100%"})
    resting: list[asyncio.TimerHandle] = []

    def show(exact: bool) -> None:
        picture.value = _closed(draw(exact))

    def moved(_change) -> None:
        while resting:
            resting.pop().cancel()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no kernel, so nothing could call back later
            show(exact=True)
            return
        show(exact=False)
        resting.append(loop.call_later(REST_SECONDS, show, True))

    for slider in sliders:
        slider.observe(moved, names="value")
    show(exact=True)
    return picture


def _closed(figure: Figure) -> str:
    """The figure as HTML with its alt text; left open, it would be shown twice."""
    text = image_html(figure)
    plt.close(figure)
    return text
