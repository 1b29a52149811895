"""Checks of Lab 04, channel pruning: a network cut, sorted, measured again, trained."""

from __future__ import annotations

from labcore.checks.engine.exercise import Lab
from labcore.checks.lab04 import cutting, distillation, folding, recalibration, sorting
from labcore.checks.lab04.cutting import select_channels
from labcore.checks.lab04.distillation import distillation_loss
from labcore.checks.lab04.folding import fold_batchnorm
from labcore.checks.lab04.recalibration import recalibrate
from labcore.checks.lab04.sorting import (
    apply_channel_sorting,
    get_input_channel_importance,
)

__all__ = [
    "EXERCISES",
    "apply_channel_sorting",
    "distillation_loss",
    "fold_batchnorm",
    "get_input_channel_importance",
    "lend",
    "recalibrate",
    "select_channels",
]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend
for part in (cutting, sorting, recalibration, distillation, folding):
    EXERCISES.update(part.lab.exercises)
