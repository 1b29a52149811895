"""`python -m tests.bench [--quick] [--only PART] [--json FILE]`: prints Markdown."""

from __future__ import annotations

import argparse
import importlib
import json
from dataclasses import asdict
from pathlib import Path

from tests.bench.timing import machine

PARTS = {
    "scan": "scanning",
    "loops": "loops",
    "startup": "startup",
    "grading": "grading",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller, in 90 seconds")
    parser.add_argument("--only", choices=PARTS, help="one part instead of all")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()

    facts = machine()
    print("; ".join(f"{name}: {value}" for name, value in facts.items()), flush=True)
    print("\n| what | median | spread | wanted | note |\n|---|---|---|---|---|")
    found = []
    for part in [options.only] if options.only else PARTS:
        module = importlib.import_module(f"tests.bench.{PARTS[part]}")
        for row in module.rows(options.quick):
            print("| " + " | ".join(row.cells()) + " |", flush=True)
            found.append(asdict(row))
    if options.json:
        content = json.dumps({"machine": facts, "figures": found}, indent=2)
        options.json.write_text(content + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
