"""The command line: `labcore COMMAND`, or `python -m labcore COMMAND`.

This file must load before anything is installed, and even in a Python too old for the
labs. So each function imports what it needs from labcore itself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

OLDEST = (3, 11)  # and no newest: see student.environment


def lab(args: argparse.Namespace) -> int:
    from .student import install, jupyter
    from .student.environment import ROOT

    python = install.set_up()
    copied = jupyter.copy_labs(ROOT / "labs", ROOT / "work")
    if copied:
        print(f"Copied into work/: {', '.join(copied)}")
    return jupyter.start(python, ROOT / "work", args.port, not args.no_browser)


def setup(args: argparse.Namespace) -> None:
    from .student import install

    install.set_up(args.extras)


def run(args: argparse.Namespace) -> int:
    from .student import install
    from .student.environment import hand_over

    return hand_over(install.set_up(), ["-m", args.module, *args.arguments])


def doctor(args: argparse.Namespace) -> int:
    from .student import doctor, environment

    environment.enter(args.argv)
    return doctor.main(args.report)


def update(args: argparse.Namespace) -> None:
    root = _enter(args)
    from .student.update import update_work

    update_work(root / "work", root / "labs")


def submit(args: argparse.Namespace) -> None:
    root = _enter(args)
    from .student.submit import submit

    submit(args.notebook, root / "work", root / "labs")


def release(args: argparse.Namespace) -> int:
    root = _enter_staff(args, "instructor")
    if args.course:
        return _release_course(args, root)
    from .runtime import LabError
    from .staff.authoring.release import release

    if args.labs or args.due or args.nbgrader:
        raise LabError(
            "--labs, --due and --nbgrader go with --course DIR: name it too."
        )
    drift = release(root / "solutions", root / "labs", args.check)
    print(*drift, sep="\n", end="\n" if drift else "")
    return int(args.check and bool(drift))


def _release_course(args: argparse.Namespace, root: Path) -> int:
    from .runtime import LabError
    from .staff.authoring.course import release_course

    if not args.labs:
        raise LabError("Say which labs the class gets: --labs 02, or --labs 01-03.")
    print(release_course(root, args.course, args.labs, args.due, args.nbgrader))
    return 0


def solutions(args: argparse.Namespace) -> None:
    root = _enter_staff(args, "instructor")
    from .runtime import LabError
    from .staff.authoring.execute import execute_solutions

    found = sorted((root / "solutions").glob("*.ipynb"))
    for number in args.numbers:
        if not any(path.name.startswith(f"{number}_") for path in found):
            raise LabError(
                f"There is no solutions/{number}_*.ipynb: name a lab by its two "
                f"digits, from {', '.join(path.name[:2] for path in found)}."
            )
    chosen = [p for p in found if not args.numbers or p.name[:2] in args.numbers]
    execute_solutions(chosen)


def train(args: argparse.Namespace) -> None:
    _enter_staff(args)
    from .staff.recipes import train_track

    train_track(args.track, args.source)


def grade(args: argparse.Namespace) -> None:
    root = _enter_staff(args, "cluster" if args.dask else None)
    from .staff.grading.command import run

    run(args, root)


def export(args: argparse.Namespace) -> None:
    root = _enter_staff(args)
    from .staff.grading.command import run_export

    run_export(args, root)


def report(args: argparse.Namespace) -> None:
    root = _enter_staff(args)
    from .staff.grading.command import run_report

    run_report(args, root)


def review(args: argparse.Namespace) -> None:
    root = _enter_staff(args)
    from .staff.grading.command import run_review

    run_review(args, root)


def forget(args: argparse.Namespace) -> None:
    root = _enter_staff(args)
    from .staff.grading.command import run_forget

    run_forget(args, root)


def _enter(args: argparse.Namespace, extra: str | None = None) -> Path:
    """The root of the clone, once we run in a Python with the labs and the extra."""
    from .runtime import LabError
    from .student import environment

    environment.enter(args.argv)
    lacking = environment.missing() + (environment.missing(extra) if extra else [])
    if lacking:
        command = " ".join(["python -m labcore setup", *([extra] if extra else [])])
        raise LabError(f"{', '.join(lacking)} missing here: run '{command}' first.")
    return environment.ROOT


def _enter_staff(args: argparse.Namespace, extra: str | None = None) -> Path:
    """Like `_enter`, but for an instructor's command; LabError in a class folder.

    A class folder has no staff package: import from it only after calling this.
    """
    from .runtime import LabError

    if not (Path(__file__).parent / "staff").is_dir():
        raise LabError(
            "This folder is a student's copy of the course, so it has no tools for "
            f"instructors: run 'labcore {args.run.__name__}' in the full course."
        )
    return _enter(args, extra)


def _parser() -> argparse.ArgumentParser:
    """Every command, with its function, its purpose and its arguments."""
    parser = argparse.ArgumentParser(prog="labcore", description="The pruning labs.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(function, purpose: str) -> argparse.ArgumentParser:
        made = commands.add_parser(function.__name__, help=purpose, description=purpose)
        made.set_defaults(run=function)
        return made

    made = command(lab, "set up, copy the labs into work/ and open JupyterLab there")
    made.add_argument("--port", type=int, help="instead of 8888")
    made.add_argument(
        "--no-browser", action="store_true", help="print the address only"
    )

    made = command(setup, "only set up, with the optional parts named")
    made.add_argument(
        "extras",
        nargs="*",
        metavar="EXTRA",
        help="vision, toolbox, chip (Lab 11), test, instructor, cluster, browser, site",
    )

    made = command(run, "run a module with the labs' Python: labcore run pytest")
    made.add_argument("module")
    made.add_argument("arguments", nargs=argparse.REMAINDER)

    made = command(doctor, "say what will work on this machine")
    made.add_argument(
        "--report", action="store_true", help="as Markdown, to paste into an issue"
    )

    command(update, "move your answers in work/ into a newer release of the labs")

    made = command(
        submit, "run a notebook's exercises as grading will; write the file to hand in"
    )
    made.add_argument(
        "notebook", metavar="NN", help="a lab's two digits, or a notebook's path"
    )

    made = command(release, "write labs/ from solutions/")
    made.add_argument("--check", action="store_true", help="only say what differs")
    made.add_argument("--course", type=Path, metavar="DIR", help="write a class folder")
    made.add_argument("--labs", metavar="01-03", help="the labs of the class folder")
    made.add_argument(
        "--due", metavar="NN", help="labs up to NN are past their deadline"
    )
    made.add_argument(
        "--nbgrader", action="store_true", help="an nbgrader course instead"
    )

    made = command(solutions, "run the notebooks in solutions/ and store the outputs")
    made.add_argument("numbers", nargs="*", metavar="NN", help="only these labs")

    made = command(train, "train again what ships")
    made.add_argument(
        "track", choices=["fashion", "cifar10", "tickets", "chip", "tinylm"]
    )
    made.add_argument(
        "--source",
        type=Path,
        help="folder of the raw files (fashion) or of Python's Lib (tinylm)",
    )

    made = command(grade, "submissions -> points and feedback, answers in a sandbox")
    made.add_argument(
        "submissions", nargs="?", type=Path, help="a folder, a zip or a notebook"
    )
    made.add_argument("--lab", metavar="NN", help="the lab's two digits")
    made.add_argument("--out", type=Path, required=True, help="folder of the grades")
    made.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="number of parallel workers (default: as many as fit)",
    )
    made.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="address of a dask scheduler: grade on its workers",
    )
    made.add_argument(
        "--resume", action="store_true", help="continue where the last run stopped"
    )
    made.add_argument(
        "--timeout",
        type=float,
        default=60,
        metavar="S",
        help="seconds of processor time for an exercise (default: 60)",
    )
    made.add_argument(
        "--memory",
        type=float,
        default=4,
        metavar="GB",
        help="memory for an answer (default: 4)",
    )
    made.add_argument(
        "--regrade", metavar="EXERCISE", help="re-grade one exercise for every student"
    )
    made.add_argument(
        "--lower", action="store_true", help="let --regrade lower points as well"
    )
    made.add_argument(
        "--merge",
        action="store_true",
        help="only merge reviews and overrides into the tables",
    )
    made.add_argument(
        "--talk",
        action="store_true",
        help="also write talk.html: questions on changes of each student's own code",
    )
    made.add_argument(
        "--no-sandbox", action="store_true", help="run answers unprotected"
    )
    made.add_argument(
        "--roster", type=Path, metavar="FILE", help="Canvas's, Moodle's or a CSV list"
    )
    made.add_argument(
        "--due", metavar="TIME", help="when the lab was due, such as '2026-11-20 23:59'"
    )
    made.add_argument(
        "--late", type=float, metavar="PERCENT", help="taken off for each day begun"
    )
    made.add_argument("--grace", type=float, metavar="MIN", help="minutes not counted")
    made.add_argument(
        "--most", type=float, metavar="PERCENT", help="the most that is taken off"
    )
    made.add_argument(
        "--zone",
        metavar="ZONE",
        help="time zone of times without one, such as Europe/Berlin",
    )

    made = command(export, "points and pages, in the files that a platform imports")
    made.add_argument("kind", choices=["canvas", "moodle", "csv"])
    made.add_argument("--grades", type=Path, required=True, help="folder of the grades")
    made.add_argument("--out", type=Path, required=True, help="folder of the new files")
    made.add_argument("--roster", type=Path, metavar="FILE", help="the platform's list")
    made.add_argument(
        "--column", metavar="NAME", help="the list's column for the points"
    )
    made.add_argument(
        "--zero", action="store_true", help="0 points if nothing was handed in"
    )

    made = command(report, "one page on what the class did, from folders of grades")
    made.add_argument("--grades", type=Path, nargs="+", required=True, metavar="FOLDER")
    made.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="instead of report.html in the first folder",
    )

    made = command(review, "read free texts on a local page that fills in review.csv")
    made.add_argument("--grades", type=Path, required=True, metavar="FOLDER")
    made.add_argument("--port", type=int, default=0, help="instead of any that is free")
    made.add_argument(
        "--no-browser", action="store_true", help="print the address only"
    )

    made = command(forget, "delete everything of one student from a folder of grades")
    made.add_argument("student", help="as in the column student of summary.csv")
    made.add_argument("--grades", type=Path, required=True, help="folder of the grades")
    return parser


def main(argv: list[str] | None = None) -> int:
    if sys.version_info[:2] < OLDEST:
        print(
            "The labs need Python 3.11 or newer, but this is Python "
            f"{sys.version_info[0]}.{sys.version_info[1]}: start them with a newer "
            "one, for example 'python3.13 -m labcore lab' (on Windows "
            "'py -3.13 -m labcore lab').",
            file=sys.stderr,
        )
        return 1
    from .runtime import LabError, let_threads_sleep

    let_threads_sleep()
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    args.argv = argv
    try:
        return args.run(args) or 0
    except LabError as mistake:
        print(mistake, file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(f"\n{str(stop) or 'Stopped. Run it again to continue.'}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
