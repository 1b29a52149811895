"""Every figure of the course, and the sliders. Data in, a matplotlib figure out."""

from labcore.plots.channels import channel_places, compare_orders, recovery
from labcore.plots.costs import (
    cost_bars,
    cost_shares,
    roofline,
    speedups,
    time_by_channels,
)
from labcore.plots.figures import (
    layer_points,
    predictions,
    tails,
    weight_histograms,
)
from labcore.plots.fronts import pareto, size_curves
from labcore.plots.masks import (
    compare_masks,
    mask_by_rank,
    mask_grid,
    order_curves,
    zero_curves,
)
from labcore.plots.plans import layer_curves, plan_picture, prediction_errors
from labcore.plots.sliders import explore, explore_each

__all__ = [
    "channel_places",
    "compare_masks",
    "compare_orders",
    "cost_bars",
    "cost_shares",
    "explore",
    "explore_each",
    "layer_curves",
    "layer_points",
    "mask_by_rank",
    "mask_grid",
    "order_curves",
    "pareto",
    "plan_picture",
    "prediction_errors",
    "predictions",
    "recovery",
    "roofline",
    "size_curves",
    "speedups",
    "tails",
    "time_by_channels",
    "weight_histograms",
    "zero_curves",
]
