"""Devices and the networks that might run on them: the tables of exercise 5.5.

The figures of the three devices are made up: they are round and plausible. The networks
are those of the fashion track, each fine-tuned for two epochs; their accuracies on val
were measured once. The tables at the end are made up too.
"""

from __future__ import annotations

__all__ = ["CANDIDATES", "DEVICES", "TABLES"]

Row = dict[str, float]

# flash_kib          room for the network
# deadline_ms        time limit for one image
# macs_per_ms        multiply-adds per millisecond with dense kernels
# skips_zeros        has kernels that skip zeros anywhere
# skips_groups       has kernels that skip two zeros in each group of four weights
# bytes_per_nonzero  bytes that such a kernel needs for a value and its position
# nonzero_cost       time for one nonzero there, in dense multiply-adds
DEVICES: dict[str, Row] = {
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


def _network(accuracy: float, parameters: int, macs: int, **zeros: float) -> Row:
    """One without zeros, unless told otherwise.

    kept     nonzeros / all parameters
    groups   whether two of each four neighbouring weights are zero
    """
    sizes = {"accuracy": accuracy, "parameters": parameters, "macs": macs}
    return sizes | {"kept": 1.0, "groups": False} | zeros


CANDIDATES: dict[str, Row] = {
    "dense": _network(94.5, 578_810, 37_897_472),
    "90 % zeros": _network(93.7, 578_810, 37_897_472, kept=0.102),
    "2 of 4 zero": _network(94.2, 578_810, 37_897_472, kept=0.5, groups=True),
    "30 % channels cut": _network(93.8, 317_674, 19_103_168),
    "75 % channels cut": _network(89.7, 65_510, 2_839_808),
}


def _device(**figures: float) -> Row:
    """One that skips no zeros, with room and time for all, unless told otherwise."""
    return {
        "flash_kib": 65_536,
        "deadline_ms": 1_000_000,
        "macs_per_ms": 1_000,
        "skips_zeros": False,
        "skips_groups": False,
        "bytes_per_nonzero": 8.0,
        "nonzero_cost": 1.0,
    } | figures


def _or_the_small(device: Row, network: Row) -> tuple[Row, dict[str, Row]]:
    return device, {"small": _network(80, 32, 2_000), "other": network}


KIB = 256  # as many parameters of four bytes each

# step of the check -> its question; each separates a few mistakes from the rest
TABLES: dict[str, tuple[Row, dict[str, Row]]] = {
    "room for all": (
        _device(),
        {
            "A": _network(85, 100, 10_000),
            "B": _network(90, 1_000, 20_000),
            "C": _network(80, 500, 2_000),
            "D": _network(75, 2_000, 30_000),
        },
    ),
    "the flash": (
        _device(flash_kib=256),
        {
            "A": _network(95, 1_024 * KIB, 10**12),  # too slow as well
            "B": _network(90, 400 * KIB, 2_000),
            "C": _network(85, 252 * KIB, 2_000),
            "D": _network(80, 100 * KIB, 2_000),
            "E": _network(75, 32, 2_000),
        },
    ),
    "the deadline": (
        _device(deadline_ms=256),
        {
            "A": _network(95, 32, 10**9),
            "B": _network(90, 32, 400_000),
            "C": _network(85, 32, 200_000),
            "D": _network(80, 32, 200),
        },
    ),
    "exactly the flash": _or_the_small(
        _device(flash_kib=256), _network(90, 256 * KIB, 2_000)
    ),
    "exactly the deadline": _or_the_small(
        _device(deadline_ms=4), _network(90, 32, 4_000)
    ),
    "bytes for each nonzero": _or_the_small(
        _device(flash_kib=100, skips_zeros=True),
        _network(90, 256 * KIB, 2_000, kept=0.25),
    ),
    "bytes for nonzeros only": _or_the_small(
        _device(flash_kib=400, skips_zeros=True),
        _network(90, 256 * KIB, 2_000, kept=0.75),
    ),
    "fewer bytes than dense": _or_the_small(
        _device(flash_kib=200, skips_zeros=True),
        _network(90, 256 * KIB, 2_000, kept=0.25),
    ),
    "groups without kernels": _or_the_small(
        _device(deadline_ms=3), _network(90, 32, 4_000, kept=0.5, groups=True)
    ),
    "kernels without groups": _or_the_small(
        _device(deadline_ms=3, skips_groups=True), _network(90, 32, 4_000, kept=0.5)
    ),
}
