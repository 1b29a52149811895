"""Evaluation and one training epoch against the plain loops."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from torch.utils.data import DataLoader

from labcore import training
from labcore.tracks import workbench
from tests.bench import plain
from tests.bench.timing import Row, interleaved, precisions, ratios, row, setting

LR = 0.01


def rows(quick: bool) -> list[Row]:
    bench = workbench("fashion")
    evaluated, trained = (1000, 1024) if quick else (2500, 4096)
    val = plain.pictures("val", evaluated, plain.TEST)
    train = plain.pictures("train", trained, plain.TRAIN)
    val_images, val_labels = (t[:evaluated] for t in bench.images("val"))
    train_images, train_labels = (t[:trained] for t in bench.images("train"))

    def plain_net():
        net = bench.track.net()
        net.load_state_dict(bench.dense().state_dict())
        return net

    def plain_evaluation(_: int) -> float:
        return plain.evaluate(plain_net(), DataLoader(val, batch_size=512))

    def plain_epoch(_: int):
        net = plain_net()
        plain.train_epoch(net, DataLoader(train, batch_size=512, shuffle=True), LR)
        return net

    def evaluation(precision: str) -> Callable[[int], float]:
        def run(_: int) -> float:
            with setting(PRECISION=precision):
                return training.evaluate(bench.dense(), val_images, val_labels)

        return run

    def epoch(precision: str) -> Callable[[int], object]:
        def run(number: int):
            net = bench.dense()
            with setting(PRECISION=precision):
                training.train(
                    net, train_images, train_labels, epochs=1, lr=LR, seed=number
                )
            return net

        return run

    def val_accuracy(net) -> float:
        return training.evaluate(net, val_images, val_labels)

    def table(what, base, fast, rounds, best, score) -> list[Row]:
        variants = {"plain": base, **{name: fast(name) for name in precisions()}}
        seconds, results = interleaved(variants, rounds)
        scores = {
            name: statistics.mean(score(each) for each in done)
            for name, done in results.items()
        }
        return [
            row(
                f"{what}, {name}",
                ratios(seconds, name, "plain"),
                wanted="≥ 1.5" if name == "fp32" else best,
                note=f"accuracy {scores[name]:.2f} % (plain {scores['plain']:.2f} %)",
            )
            for name in precisions()
        ]

    return [
        *table(
            "evaluation",
            plain_evaluation,
            evaluation,
            3 if quick else 5,
            "≥ 4",
            float,
        ),
        *table(
            "training epoch",
            plain_epoch,
            epoch,
            2 if quick else 5,
            "≥ 2.5",
            val_accuracy,
        ),
    ]
