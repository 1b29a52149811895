"""From a fresh Python to the first accuracy, and the memory of a lab."""

from __future__ import annotations

import subprocess
import sys

from tests.bench.timing import Row, interleaved, row

FIRST_ACCURACY = """
import time
from labcore import plots, workbench
from labcore.checks import lab01
bench = workbench()
model = bench.dense()
bench.images("val")
start = time.perf_counter()
bench.accuracy(model, "val")
print(time.perf_counter() - start)
"""

# What the heaviest labs do: a scan, some training, an evaluation. VmHWM is the peak.
LAB = """
import gc
from labcore import plots, workbench
from labcore.scan import sensitivity_scan
from labcore.training import train
bench = workbench()
images, labels = bench.images("val")
keep = lambda weight, sparsity: weight.abs() > sparsity * weight.abs().max()
sensitivity_scan(bench.dense(), images[:512], labels[:512], keep, [0.4, 0.6, 0.8])
model = bench.dense()
images, labels = bench.images("train")
train(model, images[:2048], labels[:2048], epochs=1)
bench.accuracy(model, "val")
gc.collect()
"""

# torch alone, with the parts that it loads for its first optimizer.
TORCH = """
import torch
torch.optim.SGD(torch.nn.Linear(1, 1).parameters())
"""

MEMORY = """
with open("/proc/self/status") as lines:
    facts = dict(line.split(":") for line in lines)
print(*(int(facts[name].split()[0]) * 1024 for name in ("VmHWM", "VmRSS")))
"""


def rows(quick: bool) -> list[Row]:
    def python(code: str) -> str:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, check=True, text=True, capture_output=True)
        return done.stdout

    seconds, printed = interleaved(
        {
            "torch": lambda _: python("import torch"),
            "lab": lambda _: python(FIRST_ACCURACY),
        },
        rounds=1 if quick else 5,
    )
    evaluations = [float(text) for text in printed["lab"]]
    found = [
        row(
            "start to first accuracy, less the evaluation, over `import torch`",
            [
                (lab - evaluation) / alone
                for lab, evaluation, alone in zip(
                    seconds["lab"], evaluations, seconds["torch"], strict=True
                )
            ],
            wanted="≤ 2.5",
            note=f"import torch {min(seconds['torch']):.1f} s, "
            f"evaluation of 5,000 images {min(evaluations):.1f} s",
        )
    ]
    if sys.platform == "linux":
        peak, idle = megabytes(python(LAB + MEMORY))
        _, alone = megabytes(python(TORCH + MEMORY))
        found += [
            row("memory of a lab: peak", [peak], unit="MB", wanted="< 1610"),
            row(
                "memory of a lab: idle after it",
                [idle],
                unit="MB",
                wanted="< 700",
                note=f"of which torch with an optimizer, doing nothing: {alone:.0f} MB",
            ),
        ]
    return found


def megabytes(printed: str) -> list[float]:
    return [int(number) / 1e6 for number in printed.split()]
