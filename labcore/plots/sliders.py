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
    """A slider, and its number to type in, above the picture `draw(value, exact)`.

    While the slider moves, exact is False (a quick look); half a second after it stops
    the picture is drawn again with exact = True. A screen reader says the number's
    name, which sliders do not have, and the picture's sentence after each change.
    """
    import ipywidgets as widgets

    slider = widgets.FloatSlider(
        value,
        min=start,
        max=stop,
        step=step,
        readout=False,
        layout={"width": "55%"},
    )
    number = widgets.BoundedFloatText(
        value,
        min=start,
        max=stop,
        step=step,
        description=name,
        style={"description_width": "initial"},
        layout={"width": "35%"},
    )
    widgets.link((slider, "value"), (number, "value"), (_tidy, _tidy))
    picture = _following([slider], lambda exact: draw(slider.value, exact))
    return widgets.VBox([widgets.HBox([number, slider]), picture])


def _tidy(value: float) -> float:
    """0.011 for a slider's 0.011000000000000001."""
    return round(value, 10)


def explore_each(
    draw: Callable[[dict[str, float], bool], Figure],
    *,
    values: Mapping[str, float],
    options: Sequence[float],
):
    """A list to choose from for each name, above the picture `draw(values, exact)`.

    values   name -> the option that is chosen at first
    exact    as in `explore`
    """
    import ipywidgets as widgets

    lists = {
        name: widgets.Dropdown(
            options=options,
            value=value,
            description=short_name(name),
            layout={"width": "24%"},
        )
        for name, value in values.items()
    }

    def shown(exact: bool) -> Figure:
        return draw({name: each.value for name, each in lists.items()}, exact)

    rows = widgets.Box(
        list(lists.values()), layout={"display": "flex", "flex_flow": "row wrap"}
    )
    return widgets.VBox([rows, _following(list(lists.values()), shown)])


def _following(controls: Sequence, draw: Callable[[bool], Figure]):
    """The picture `draw(exact)`, drawn again whenever a control is changed."""
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

    for control in controls:
        control.observe(moved, names="value")
    show(exact=True)
    return picture


def _closed(figure: Figure) -> str:
    """The figure as HTML with its alt text; left open, it would be shown twice."""
    image = image_html(figure)
    plt.close(figure)
    return f'<div role="status">{image}</div>'
