"""`labcore grade`: check that the arguments fit together, then do the work."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

from labcore.runtime import LabError

__all__ = ["run", "run_export", "run_forget", "run_report", "run_review"]

LATE = ("due", "late", "grace", "most", "zone")


def run(args: argparse.Namespace, root: Path) -> None:
    _not_on_windows()
    from labcore.staff.grading import batch
    from labcore.staff.grading.jobs import Terms

    _only_one_way(args)
    late = {name: getattr(args, name) for name in LATE}
    about = batch.About(args.roster, {k: v for k, v in late.items() if v is not None})
    if args.merge:
        batch.merge_only(args.out, root, about)
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
    terms = Terms((), args.timeout, args.memory, not args.no_sandbox, args.talk)
    options = batch.Options(
        submissions=args.submissions,
        number=args.lab,
        out=args.out,
        root=root,
        terms=terms,
        jobs=args.jobs,
        dask=args.dask,
        resume=args.resume,
        about=about,
    )
    if args.regrade:
        batch.regrade(options, args.regrade, args.lower)
    else:
        batch.grade_class(options)


def run_export(args: argparse.Namespace, root: Path) -> None:
    _not_on_windows()
    from labcore.staff.grading.export import export

    export(args.kind, args.grades, args.out, root, args.roster, args.column, args.zero)


def run_forget(args: argparse.Namespace, root: Path) -> None:
    _not_on_windows()
    from labcore.staff.grading.forget import forget

    forget(args.student, args.grades, root)


def run_report(args: argparse.Namespace, root: Path) -> None:
    _not_on_windows()
    from labcore.staff.grading.report import report

    print(f"The report is in {report(args.grades, args.out, root)}.")


def run_review(args: argparse.Namespace, root: Path) -> None:
    _not_on_windows()
    from labcore.staff.grading.desk import review

    review(args.grades, root, args.port, not args.no_browser)


def _not_on_windows() -> None:
    if not hasattr(os, "fork"):
        raise LabError(
            "Grading needs Linux or macOS: on Windows run it in WSL, where the sandbox "
            "works too."
        )


def _only_one_way(args: argparse.Namespace) -> None:
    """Refuse conflicting arguments instead of silently ignoring some of them."""
    asked = {"merge": args.merge, "regrade": args.regrade, "resume": args.resume}
    given = [f"--{name}" for name, value in asked.items() if value]
    if len(given) > 1:
        raise LabError(
            f"{' and '.join(given)} are different tasks: give one of them a call."
        )
    about = [name for name in ("roster", *LATE) if getattr(args, name) is not None]
    if about and args.regrade:
        raise LabError(f"--{about[0]} does not go with --regrade: give it to --merge.")
    if args.talk and (args.merge or args.regrade):
        raise LabError(
            "--talk runs answers again: give it to a call that grades, or to --resume "
            "for students who are graded already."
        )
    if args.lower and not args.regrade:
        raise LabError("--lower goes with --regrade EXERCISE: name the exercise too.")
