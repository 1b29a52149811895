"""Helpers for the pruning labs: data, networks, training, measuring, figures, checks.

`from labcore import workbench` is all that most notebooks need. The import is
lazy, so that `python -m labcore` works before (and without) torch.
"""

__all__ = ["workbench"]


def __getattr__(name: str):
    if name == "workbench":
        from .tracks import workbench

        return workbench
    raise AttributeError(f"module 'labcore' has no attribute {name!r}")
