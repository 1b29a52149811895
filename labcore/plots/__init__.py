"""Every figure of the course, and the sliders: data in, a matplotlib figure out."""

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
    removal_curves,
    tails,
    weight_histograms,
)
from labcore.plots.fronts import pareto, size_curves
from labcore.plots.groups import group_graph, kept_shares
from labcore.plots.masks import (
    compare_masks,
    mask_by_rank,
    mask_grid,
    order_curves,
    zero_curves,
)
from labcore.plots.network import (
    convolution_picture,
    memory_bars,
    network_picture,
)
from labcore.plots.plans import layer_curves, plan_picture, prediction_errors
from labcore.plots.sliders import explore, explore_each
from labcore.plots.tickets import curves_by_weights_left, road
from labcore.plots.toolbox import module_parts, round_curves
from labcore.plots.zoo import accuracy_bands, density_map, parted_ranking

__all__ = [
    "accuracy_bands",
    "channel_places",
    "compare_masks",
    "compare_orders",
    "convolution_picture",
    "cost_bars",
    "cost_shares",
    "curves_by_weights_left",
    "density_map",
    "explore",
    "explore_each",
    "group_graph",
    "kept_shares",
    "layer_curves",
    "layer_points",
    "mask_by_rank",
    "mask_grid",
    "memory_bars",
    "module_parts",
    "network_picture",
    "order_curves",
    "pareto",
    "parted_ranking",
    "plan_picture",
    "prediction_errors",
    "predictions",
    "recovery",
    "removal_curves",
    "road",
    "roofline",
    "round_curves",
    "size_curves",
    "speedups",
    "tails",
    "time_by_channels",
    "weight_histograms",
    "zero_curves",
]
