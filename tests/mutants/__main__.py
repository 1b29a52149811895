"""`python -m tests.mutants [LAB ...]`: try every mutant; write solutions/MUTANTS.md."""

from __future__ import annotations

import argparse
import sys
import time

from tests.mutants.ledger import Judged, Ledger, blocks
from tests.mutants.table import LABS, rows, stored, write
from tests.mutants.trying import Trial, trials


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("labs", nargs="*", metavar="NN", help="only these labs")
    parser.add_argument("--only", nargs="*", default=(), metavar="N.N")
    options = parser.parse_args()
    found, clean = stored(), True
    for lab in options.labs or LABS:
        since = time.monotonic()
        tried = list(trials(lab, options.only))
        clean = _report(lab, tried) and clean
        found |= rows(tried)
        print(
            f"lab {lab}: {len(tried)} in {time.monotonic() - since:.0f} s", flush=True
        )
    write(found)
    return int(not clean)


def _report(lab: str, tried: list[Trial]) -> bool:
    """Print what is open, as it would stand in the lab's file; returns if none is."""
    ledger = Ledger.of(lab)
    survivors, unjudged = ledger.open(tried)
    stale = ledger.stale(tried)
    lucky = [trial for trial in tried if not trial.survived and trial.seed > 0]
    for trial in lucky:
        print(f"only seed {trial.seed} refuses {trial.answer.title}: {trial.change}")
    print(blocks("equivalent", "because", map(_survivor, survivors)), end="")
    print(blocks("cause", "says", map(_caused, unjudged)), end="")
    print(blocks("gone", "words", stale), end="")
    return not (lucky or survivors or unjudged or stale)


def _survivor(trial: Trial) -> Judged:
    return Judged(trial.answer.exercise.id, trial.change, f"? {trial.answer.title}")


def _caused(trial: Trial) -> Judged:
    return Judged(trial.answer.exercise.id, trial.change, trial.cause)


if __name__ == "__main__":
    sys.exit(main())
