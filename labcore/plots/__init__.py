"""Every figure of the course, and the sliders. Data in, a matplotlib figure out."""

from labcore.plots.figures import (
    layer_points,
    predictions,
    tails,
    weight_histograms,
)
from labcore.plots.masks import (
    compare_masks,
    mask_by_rank,
    mask_grid,
    order_curves,
    zero_curves,
)
from labcore.plots.sliders import explore

__all__ = [
    "compare_masks",
    "explore",
    "layer_points",
    "mask_by_rank",
    "mask_grid",
    "order_curves",
    "predictions",
    "tails",
    "weight_histograms",
    "zero_curves",
]
