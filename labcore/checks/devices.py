"""Three devices and the networks that might run on them: the tables of exercise 5.5.

The devices' figures are round ones of a plausible order, made up for the exercise. The
networks are those of the fashion track, each fine-tuned for two epochs; their
accuracies on val were measured once.
"""

from __future__ import annotations

__all__ = ["CANDIDATES", "DEVICES"]

# flash_kib          room for the network
# deadline_ms        time that one image may take
# macs_per_ms        multiply-adds a millisecond in dense kernels
# skips_zeros        it has kernels that skip zeros wherever they are
# skips_groups       it has kernels that skip two zeros in each group of four weights
# bytes_per_nonzero  that such a kernel needs: the value and where it is
# nonzero_cost       dense multiply-adds that take as long as one nonzero there
DEVICES: dict[str, dict[str, float]] = {
    "microcontroller": {
        "flash_kib": 256,
        "deadline_ms": 500,
        "macs_per_ms": 50_000,
        "skips_zeros": False,
        "skips_groups": False,
        "bytes_per_nonzero": 4.0,
        "nonzero_cost": 1.0,
    },
    "phone CPU": {
        "flash_kib": 65_536,
        "deadline_ms": 3,
        "macs_per_ms": 8_000_000,
        "skips_zeros": True,
        "skips_groups": False,
        "bytes_per_nonzero": 8.0,
        "nonzero_cost": 8.0,
    },
    "accelerator": {
        "flash_kib": 8_192,
        "deadline_ms": 0.25,
        "macs_per_ms": 100_000_000,
        "skips_zeros": False,
        "skips_groups": True,
        "bytes_per_nonzero": 4.5,
        "nonzero_cost": 1.0,
    },
}

# kept     nonzeros / all parameters
# groups   whether of each four neighbouring weights two are zero
CANDIDATES: dict[str, dict[str, float]] = {
    "dense": {
        "accuracy": 94.5,
        "parameters": 578_810,
        "macs": 37_897_472,
        "kept": 1.0,
        "groups": False,
    },
    "90 % zeros": {
        "accuracy": 93.7,
        "parameters": 578_810,
        "macs": 37_897_472,
        "kept": 0.102,
        "groups": False,
    },
    "2 of 4 zero": {
        "accuracy": 94.2,
        "parameters": 578_810,
        "macs": 37_897_472,
        "kept": 0.5,
        "groups": True,
    },
    "30 % channels cut": {
        "accuracy": 93.8,
        "parameters": 317_674,
        "macs": 19_103_168,
        "kept": 1.0,
        "groups": False,
    },
    "75 % channels cut": {
        "accuracy": 89.7,
        "parameters": 65_510,
        "macs": 2_839_808,
        "kept": 1.0,
        "groups": False,
    },
}
