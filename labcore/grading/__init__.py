"""Submissions -> grades and feedback; what students wrote runs in a sandbox.

This file is loaded inside the sandbox too, where most of its neighbours are absent.
"""

__all__ = ["Result", "grade"]


def __getattr__(name: str):
    if name in __all__:
        from labcore.grading import api

        return getattr(api, name)
    raise AttributeError(f"module 'labcore.grading' has no attribute {name!r}")
