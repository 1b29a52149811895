"""Every figure of the course, and the sliders: data in, a matplotlib figure out."""

from labcore.plots.channels import (
    channel_places,
    cut_curves,
    recovery,
    soft_labels,
    what_did_it,
)
from labcore.plots.chip import memory_map, work_by_layer
from labcore.plots.costs import (
    cost_bars,
    cost_shares,
    memory_steps,
    ram_curves,
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
from labcore.plots.language import bit_bars, bit_curves, bit_table, completions
from labcore.plots.masks import (
    loop_picture,
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
from labcore.plots.tickets import curves_by_weights_left, road, value_bars
from labcore.plots.toolbox import filter_masks, module_parts, round_curves
from labcore.plots.zoo import (
    density_map,
    pairwise_order,
    score_table,
)

__all__ = [
    "bit_bars",
    "bit_curves",
    "bit_table",
    "channel_places",
    "completions",
    "convolution_picture",
    "cost_bars",
    "cost_shares",
    "curves_by_weights_left",
    "cut_curves",
    "density_map",
    "explore",
    "explore_each",
    "filter_masks",
    "group_graph",
    "kept_shares",
    "layer_curves",
    "layer_points",
    "loop_picture",
    "mask_by_rank",
    "mask_grid",
    "memory_bars",
    "memory_map",
    "memory_steps",
    "module_parts",
    "network_picture",
    "order_curves",
    "pairwise_order",
    "pareto",
    "plan_picture",
    "prediction_errors",
    "predictions",
    "ram_curves",
    "recovery",
    "removal_curves",
    "road",
    "roofline",
    "round_curves",
    "score_table",
    "size_curves",
    "soft_labels",
    "speedups",
    "tails",
    "time_by_channels",
    "value_bars",
    "weight_histograms",
    "what_did_it",
    "work_by_layer",
    "zero_curves",
]
