"""`labcore grade`: check that the arguments fit together, then do the work."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

from labcore.runtime import LabError

__all__ = ["run"]


def run(args: argparse.Namespace, root: Path) -> None:
    if not hasattr(os, "fork"):
        raise LabError(
            "Grading needs Linux or macOS: on Windows run it in WSL, where the sandbox "
            "works too."
        )
    from labcore.staff.grading.batch import Options, grade_class, merge_only, regrade
    from labcore.staff.grading.jobs import Terms

    _only_one_way(args)
    if args.merge:
        merge_only(args.out, root)
        return
    if args.submissions is None or args.lab is None:
        raise LabError(
            "Name the submissions and the lab: labcore grade SUBMISSIONS --lab 02 "
            "--out GRADES."
        )
    for name, value in (("jobs", args.jobs), ("timeout", args.timeout)):
        if value is not None and not 0 < value < math.inf:
            raise LabError(f"--{name} is {value:g}, but it must be more than 0.")
    if args.memory == math.inf:
        raise LabError("--memory is a limit: give a number of GB, such as 4.")
    if not args.memory >= 1:
        raise LabError(
            f"--memory is {args.memory:g} GB, but torch alone needs nearly 1: allow 2."
        )
    terms = Terms((), args.timeout, args.memory, not args.no_sandbox)
    options = Options(
        submissions=args.submissions,
        number=args.lab,
        out=args.out,
        root=root,
        terms=terms,
        jobs=args.jobs,
        dask=args.dask,
        resume=args.resume,
    )
    if args.regrade:
        regrade(options, args.regrade, args.lower)
    else:
        grade_class(options)


def _only_one_way(args: argparse.Namespace) -> None:
    """Refuse conflicting arguments instead of silently ignoring some of them."""
    asked = {"merge": args.merge, "regrade": args.regrade, "resume": args.resume}
    given = [f"--{name}" for name, value in asked.items() if value]
    if len(given) > 1:
        raise LabError(
            f"{' and '.join(given)} are different tasks: give one of them a call."
        )
    if args.lower and not args.regrade:
        raise LabError("--lower goes with --regrade EXERCISE: name the exercise too.")
