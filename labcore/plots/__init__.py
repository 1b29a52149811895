"""Every figure of the course, and the sliders. Data in, a matplotlib figure out."""

from labcore.plots.figures import (
    layer_points,
    predictions,
    tails,
    weight_histograms,
)
from labcore.plots.sliders import explore

__all__ = ["explore", "layer_points", "predictions", "tails", "weight_histograms"]
