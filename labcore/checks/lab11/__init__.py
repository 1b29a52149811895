"""Checks of Lab 11: a sparse layer unpacked, a loop in C, three budgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from labcore.checks.engine.exercise import Lab
from labcore.checks.engine.trial import Trial
from labcore.checks.lab11 import machine
from labcore.chip.program import packed

__all__ = ["EXERCISES", "lend"]

lab = Lab(__name__)
EXERCISES, lend = lab.exercises, lab.lend


@lab.exercise("11.1", points={"idea": 4, "any layer": 3})
def unpack(words: Tensor, values: Tensor, fan_in: int) -> Tensor:
    weight = torch.zeros(len(words), fan_in)
    following = iter(values.tolist())
    for row, its_words in enumerate(words.tolist()):
        for place in range(fan_in):
            if its_words[place // 32] >> (place % 32) & 1:
                weight[row, place] = next(following)
    return weight


def _packed(weight: Tensor) -> tuple[Tensor, Tensor, int]:
    """The three arguments that hold this weight."""
    return *packed(weight), weight.shape[1]


def _weight(rows: int, fan_in: int, kept: Mapping[tuple[int, int], float]) -> Tensor:
    weight = torch.zeros(rows, fan_in)
    for place, value in kept.items():
        weight[place] = value
    return weight


def _random_weight(ask: Trial, rows: int, fan_in: int, density: float) -> Tensor:
    kept = torch.rand(rows, fan_in, generator=ask.rng) < density
    values = torch.randint(-40, 40, (rows, fan_in), generator=ask.rng) / 8
    return torch.where(kept & (values != 0), values, 0.0)


def _unpacks(group: str, title: str, weight: Tensor) -> None:
    lab.step(group, title, lambda ask: ask(*_packed(weight)))


_unpacks("idea", "one weight", _weight(1, 32, {(0, 0): 1.5}))
_unpacks("idea", "a weight further on", _weight(1, 32, {(0, 2): 1.5}))
_unpacks("idea", "two weights", _weight(1, 5, {(0, 1): 2.0, (0, 4): -0.5}))
_unpacks("idea", "two rows", _weight(2, 5, {(0, 3): 1.0, (1, 0): 2.0, (1, 3): 3.0}))
_unpacks("any layer", "more than one word", _weight(1, 40, {(0, 1): 1.0, (0, 35): 2.0}))
_unpacks("any layer", "the highest bit", _weight(1, 40, {(0, 31): 1.0, (0, 32): 2.0}))
_unpacks("any layer", "an empty row", _weight(3, 9, {(0, 0): 1.0, (2, 8): 2.0}))
_unpacks("any layer", "nothing kept", torch.zeros(2, 9))


@lab.step("any layer", "a small convolution")
def _(ask: Trial) -> None:
    for density in (0.1, 0.5, 1):
        ask(*_packed(_random_weight(ask, 4, 45, density)))


@lab.step("any layer", "full words")
def _(ask: Trial) -> None:
    ask(*_packed(_random_weight(ask, 3, 64, 0.4)))


def _bits(words: Tensor) -> Tensor:
    return (words[:, :, None] >> torch.arange(32) & 1).flatten(1)


def _placed(mask: Tensor, values: Tensor) -> Tensor:
    weight = torch.zeros(mask.shape)
    weight[mask.bool()] = values[: int(mask.count_nonzero())].float()
    return weight


lab.mistake(
    "return float32; values holds float16, and adding up needs more digits",
    lambda words, values, fan_in: unpack(words, values, fan_in).half(),
)
lab.mistake(
    "return the weights, not the mask: put the next value wherever a bit is 1",
    lambda words, values, fan_in: _bits(words)[:, :fan_in].float(),
)
lab.mistake(
    "you read the bits from the highest down; place 0 is the lowest bit of a word",
    lambda words, values, fan_in: _placed(
        _bits(words).view(*words.shape, 32).flip(2).flatten(1)[:, :fan_in], values
    ),
    help="`word & 1` is the lowest bit; `word >> 5 & 1` is the bit of place 5.",
)


@lab.mistake(
    "every row starts with a new word; bits that a row leaves over mean nothing",
    help=(
        "With 40 places a row has two words, and 24 bits of the second are left over. "
        "So cut each row of bits off after `fan_in` places."
    ),
)
def _(words: Tensor, values: Tensor, fan_in: int) -> Tensor:
    mask = _bits(words).flatten()[: len(words) * fan_in].view(-1, fan_in)
    return _placed(mask, values)


lab.mistake(
    "cut each row off after fan_in places; the last word of a row has bits left over",
    lambda words, values, fan_in: _placed(_bits(words), values),
)


@lab.mistake("the values continue from row to row; do not start again with the first")
def _(words: Tensor, values: Tensor, fan_in: int) -> Tensor:
    mask = _bits(words)[:, :fan_in].bool()
    weight = torch.zeros(mask.shape)
    for row, kept in zip(weight, mask, strict=True):
        row[kept] = values[: int(kept.sum())].float()
    return weight


@lab.mistake("words & 2**k gives 2**k, not 1; compare with != 0, or shift first")
def _(words: Tensor, values: Tensor, fan_in: int) -> Tensor:
    mask = (words[:, :, None] & 2 ** torch.arange(32)) == 1
    return _placed(mask.flatten(1)[:, :fan_in], values)


@lab.mistake("the last word of a row is missing; it counts even if it is not full")
def _(words: Tensor, values: Tensor, fan_in: int) -> Tensor:
    mask = _bits(words)[:, :fan_in]
    mask[:, fan_in // 32 * 32 :] = 0
    return _placed(mask, values)


@lab.mistake("only the first word of a row is read; place 32 is bit 0 of the second")
def _(words: Tensor, values: Tensor, fan_in: int) -> Tensor:
    mask = _bits(words)[:, :fan_in]
    mask[:, 32:] = 0
    return _placed(mask, values)


@lab.mistake("bit k of the second word belongs to place 32 + k, not to place k")
def _(words: Tensor, values: Tensor, fan_in: int) -> Tensor:
    weight = torch.zeros(len(words), fan_in)
    rows, places = _bits(words)[:, :fan_in].nonzero().T
    for row, place, value in zip(rows, places % 32, values, strict=True):
        weight[row, place] = value
    return weight


@lab.mistake("the values are stored row by row; you take them column by column")
def _(words: Tensor, values: Tensor, fan_in: int) -> Tensor:
    return _placed(_bits(words)[:, :fan_in].T, values).T


@lab.exercise("11.2", points={"idea": 4, "any row": 2, "work": 2})
def sparse_dot() -> str:
    return _c(
        """
        for (int start = 0; start < n; start += 32)
            for (uint32_t bits = *mask++; bits; bits &= bits - 1)
                sum += *values++ * x[start + __builtin_ctz(bits)];
        """
    )


def _c(body: str, kind: str = "float", last: str = "return sum;") -> str:
    """The C function with this body."""
    head = "float sparse_dot(const uint32_t *mask, const half *values, const float *x,"
    return f"{head} int n) {{\n{kind} sum = 0;\n{body}\n{last}\n}}"


@lab.step("idea", "C that compiles")
def _(ask: Trial) -> None:
    ask.through(machine.compiles)


def _dot(group: str, title: str, kept: Mapping[int, float], n: int) -> None:
    lab.step(
        group, title, lambda ask: ask.through(machine.product, kept, n, names=KEPT)
    )


KEPT = ("kept", "n")
_dot("idea", "one weight", {0: 1.5}, 32)
_dot("idea", "a weight further on", {2: 1.5}, 32)
_dot("idea", "two weights", {1: 1.5, 4: -2.5}, 32)
_dot("idea", "a full word", {k: k / 2 + 1 for k in range(32)}, 32)
_dot("any row", "a second word", {3: 1.5, 40: 2.5}, 64)
_dot("any row", "the highest bit", {31: 1.5, 63: 2.5}, 64)
_dot("any row", "an odd tail", {2: 1.5, 33: 2.5, 44: 0.5}, 45)
_dot("any row", "nothing kept", {}, 70)
_dot("any row", "an empty word", {5: 1.5, 70: 2.5}, 96)
_dot("any row", "one input", {0: 2.5}, 1)


@lab.step("any row", "random rows")
def _(ask: Trial) -> None:
    for n in (7, 33, 200):
        places = (torch.rand(n, generator=ask.rng) < 0.4).nonzero().flatten().tolist()
        draws = torch.randint(1, 9, (n,), generator=ask.rng).tolist()
        kept = {place: draws[place] / 2 for place in places}
        ask.through(machine.product, kept, n, names=KEPT)


@lab.step("work", "work follows the kept weights")
def _(ask: Trial) -> None:
    ask.through(machine.few_instructions)


def _wrong_c(sentence: str, body: str, help: str = "", **options: str) -> None:
    source = _c(body, **options)
    machine.known.append(source)
    lab.mistake(sentence, lambda: source, help=help)


WORDS = "for (int start = 0; start < n; start += 32)"
SET_BITS = "for (uint32_t bits = *mask++; bits; bits &= bits - 1)"

_wrong_c(
    "values holds the kept weights only; take the next one for each bit that is set",
    f"""{WORDS} {SET_BITS} {{
        int k = start + __builtin_ctz(bits);
        sum += values[k] * x[k];
    }}""",
    help=(
        "The first set bit belongs to `values[0]`, the second to `values[1]`, wherever "
        "they stand in the row: `*values++` reads one and steps on to the next."
    ),
)
_wrong_c(
    "you use the first value for every bit; step on to the next one: *values++",
    f"{WORDS} {SET_BITS} sum += *values * x[start + __builtin_ctz(bits)];",
)
_wrong_c(
    "the second word of the mask speaks of x[32] to x[63]; add where the word starts",
    f"{WORDS} {SET_BITS} sum += *values++ * x[__builtin_ctz(bits)];",
)
_wrong_c(
    "__builtin_clz counts from the highest bit; the lowest one is place 0",
    f"""{WORDS} {{
        uint32_t bits = *mask++;
        while (bits) {{
            int k = __builtin_clz(bits);
            sum += *values++ * x[start + k];
            bits &= ~(0x80000000u >> k);
        }}
    }}""",
)
_wrong_c(
    "x is read in order, as if no weight were missing; the mask says which x belongs "
    "to a value",
    f"int k = 0; {WORDS} {SET_BITS} sum += *values++ * x[k++];",
)
_wrong_c(
    "the last word is missing; a row of 45 weights has two words, not 45 / 32 = 1",
    f"for (int start = 0; start + 32 <= n; start += 32) {SET_BITS} "
    "sum += *values++ * x[start + __builtin_ctz(bits)];",
    help="Let the loop over the words run while `start < n`.",
)
_wrong_c(
    "more words are read than the row has; the loop over them runs while start < n",
    f"for (int start = 0; start <= n; start += 32) {SET_BITS} "
    "sum += *values++ * x[start + __builtin_ctz(bits)];",
)
_wrong_c(
    "a word holds 32 places; the loop over the words steps on by start += 32",
    f"for (int start = 0; start < n; start++) {SET_BITS} "
    "sum += *values++ * x[start + __builtin_ctz(bits)];",
)
_wrong_c(
    "w counts words; the first place of word w is 32 * w",
    f"""int w = 0; {WORDS} {{
        {SET_BITS} sum += *values++ * x[w + __builtin_ctz(bits)];
        w++;
    }}""",
)
_wrong_c(
    "you use a value for each place; only places whose bit is 1 have one",
    "for (int k = 0; k < n; k++) sum += values[k] * x[k];",
)
_wrong_c(
    "you clear the bit before you use its place; call __builtin_ctz(bits) first",
    f"""{WORDS} for (uint32_t bits = *mask++; bits;) {{
        bits &= bits - 1;
        sum += *values++ * x[start + __builtin_ctz(bits)];
    }}""",
)
_wrong_c(
    "the values belong to the bits from the lowest up; you begin with the highest",
    f"""{WORDS} for (uint32_t bits = *mask++; bits;) {{
        int k = 31 - __builtin_clz(bits);
        sum += *values++ * x[start + k];
        bits &= ~(1u << k);
    }}""",
)
_wrong_c(
    "clear the bit that you have used, and no other: bits &= bits - 1",
    f"{WORDS} for (uint32_t bits = *mask++; bits; bits >>= 1) "
    "sum += *values++ * x[start + __builtin_ctz(bits)];",
)
_wrong_c(
    "the first value is left out; *values++ reads a value, then steps on",
    f"{WORDS} {SET_BITS} sum += *++values * x[start + __builtin_ctz(bits)];",
)
_wrong_c(
    "you step back from the first value; the next one stands behind it: *values++",
    f"{WORDS} {SET_BITS} sum += *values-- * x[start + __builtin_ctz(bits)];",
)
_wrong_c(
    "the products are subtracted; add them to the sum",
    f"{WORDS} {SET_BITS} sum -= *values++ * x[start + __builtin_ctz(bits)];",
)
_wrong_c(
    "each product replaces the sum; add it with +=",
    f"{WORDS} {SET_BITS} sum = *values++ * x[start + __builtin_ctz(bits)];",
)
_wrong_c(
    "you take one bit of each word; while (bits) goes on until none is left",
    f"""{WORDS} {{
        uint32_t bits = *mask++;
        if (bits) sum += *values++ * x[start + __builtin_ctz(bits)];
    }}""",
)
_wrong_c(
    "every round reads the first word again; step on with *mask++",
    f"{WORDS} for (uint32_t bits = *mask; bits; bits &= bits - 1) "
    "sum += *values++ * x[start + __builtin_ctz(bits)];",
)
_wrong_c(
    "the values continue from word to word; do not start again with the first",
    f"""{WORDS} {{
        int next = 0;
        {SET_BITS} sum += values[next++] * x[start + __builtin_ctz(bits)];
    }}""",
)
_wrong_c(
    "the sum is a half, which rounds large sums; declare it as float",
    f"{WORDS} {SET_BITS} sum += *values++ * x[start + __builtin_ctz(bits)];",
    kind="half",
)
_wrong_c(
    "a whole number is no place for 1.5; declare the sum, and a copy of a value, as "
    "float",
    f"{WORDS} {SET_BITS} sum += *values++ * x[start + __builtin_ctz(bits)];",
    kind="int",
)
_wrong_c(
    "you stop at the first empty word; weights may follow after it",
    "for (int start = 0; start < n && *mask; start += 32) "
    f"{SET_BITS} sum += *values++ * x[start + __builtin_ctz(bits)];",
)
_wrong_c(
    "only the first word counts; step on with *mask++ and start += 32, and return "
    "after the loop",
    "for (uint32_t bits = *mask; bits; bits &= bits - 1) "
    "sum += *values++ * x[__builtin_ctz(bits)];",
)
_wrong_c(
    "you look at every bit; jump to the next set bit with __builtin_ctz(bits)",
    """for (int k = 0; k < n; k++)
        if (mask[k / 32] >> (k % 32) & 1) sum += *values++ * x[k];""",
    help=(
        "The results are right, but a loop over all 32 bits takes as long for an empty "
        "word as for a full one. `__builtin_ctz(bits)` is the place of the lowest set "
        "bit, and `bits &= bits - 1` clears this bit."
    ),
)
_wrong_c(
    "you walk over the zeros between two set bits; jump to the next with "
    "__builtin_ctz(bits)",
    f"""{WORDS} {{
        int k = start;
        for (uint32_t bits = *mask++; bits; bits >>= 1, k++)
            if (bits & 1) sum += *values++ * x[k];
    }}""",
)
lab.mistake(
    "no product reaches the sum here; add each kept weight times its x",
    lambda: _c(""),
)
lab.help(
    "still running",
    "Each round of the inner loop has to clear one bit: `bits &= bits - 1`. Without "
    "braces only the next statement belongs to a loop, and `while (bits);` repeats "
    "nothing. (A basic block is a piece of code without a jump.)",
)
lab.help(
    "no memory",
    "A pointer left the arrays. `x` may be read at 0 to n - 1, `mask` has one word for "
    "every 32 weights, and `values` one number for every set bit.",
)
lab.help(
    "does not compile",
    "The line numbers are those of your text; its first line is line 1, even if it is "
    "empty. Each variable needs a type, each statement a semicolon.",
)


@lab.exercise("11.3", points={"idea": 3, "few trials": 2})
def best_that_fits(accuracies, measure, limits) -> str | None:
    ranked = sorted(accuracies, key=lambda name: accuracies[name], reverse=True)
    for name in ranked:
        needed = measure(name)
        if all(needed[what] <= limits[what] for what in limits):
            return name
    return None


LIMITS = {"flash": 256, "RAM": 64, "instructions": 50}
FITS = {"flash": 100, "RAM": 50, "instructions": 40}


def _choices(group: str, title: str, accuracies: dict, needs: dict) -> None:
    names = ("accuracies", "what measure says", "limits")
    lab.step(
        group,
        title,
        lambda ask: ask.through(machine.chosen, accuracies, needs, LIMITS, names=names),
    )


_choices("idea", "one that fits", {"a": 90.0}, {"a": FITS})
LITTLE = {"flash": 50, "RAM": 20, "instructions": 10}


@lab.step("idea", "the more accurate one")
def _(ask: Trial) -> None:
    accuracies = {"c": 90.0, "e": 90.2, "d": 91.0, "b": 89.0, "a": 90.5}
    names = ("accuracies", "what measure says", "limits")
    for others, one in ((FITS, LITTLE), (LITTLE, FITS)):  # a needs least, and most
        needs = dict.fromkeys("bcde", others) | {"a": one}
        ask.through(machine.chosen, accuracies, needs, LIMITS, names=names)


TOO_LARGE = {what: limit + 1 for what, limit in LIMITS.items()}
_choices(
    "idea",
    "too much flash or RAM",
    {"a": 90.0, "b": 91.0, "c": 92.0, "d": 93.0, "e": 92.5},
    {
        "a": FITS,
        "b": FITS | {"flash": 257},
        "c": FITS | {"RAM": 65},
        "d": TOO_LARGE,
        "e": {"flash": 300, "RAM": 70, "instructions": 40},
    },
)
_choices(
    "idea",
    "too many instructions",
    {"a": 90.0, "b": 91.0, "d": 93.0},
    {"a": FITS, "b": FITS | {"instructions": 51}, "d": TOO_LARGE},
)
_choices(
    "idea", "exactly at the limits", {"a": 90.0, "b": 91.0}, {"a": FITS, "b": LIMITS}
)
_choices("idea", "nothing fits", {"a": 90.0}, {"a": FITS | {"RAM": 65}})


@lab.step("few trials", "no more trials than needed")
def _(ask: Trial) -> None:
    accuracies = {"a": 88.0, "b": 93.0, "c": 91.0, "d": 92.0}
    needs = {"a": FITS, "b": FITS | {"flash": 300}, "c": FITS, "d": FITS}
    names = ("accuracies", "what measure says", "limits")
    ask.through(machine.measured, accuracies, needs, LIMITS, names=names)


@lab.step("few trials", "random candidates")
def _(ask: Trial) -> None:
    def some(low: int, high: int) -> int:
        return torch.randint(low, high, (), generator=ask.rng).item()

    names = ("accuracies", "what measure says", "limits")
    for _ in range(4):
        places = torch.randperm(5, generator=ask.rng).tolist()
        accuracies = {f"net {k}": 80.0 + place for k, place in enumerate(places)}
        needs = {
            name: {
                what: some(limit // 2, limit * 5 // 4) for what, limit in LIMITS.items()
            }
            for name in accuracies
        }
        for scenario in (machine.chosen, machine.measured, machine.left):
            ask.through(scenario, accuracies, needs, LIMITS, names=names)


def _within(needed: Mapping, limits: Mapping, *which: str) -> bool:
    return all(needed[what] <= limits[what] for what in which or limits)


def _best(accuracies: Mapping, fits: Callable[[str], bool]) -> str | None:
    fitting = [name for name in accuracies if fits(name)]
    return max(fitting, key=accuracies.get, default=None)


lab.mistake(
    "you returned the most accurate network, whether it fits or not",
    lambda accuracies, measure, limits: max(accuracies, key=accuracies.get),
)
for left_out in LIMITS:
    lab.mistake(
        f"the {left_out} limit is not looked at; all three have to hold",
        lambda accuracies, measure, limits, left_out=left_out: _best(
            accuracies,
            lambda name: _within(measure(name), limits, *(set(limits) - {left_out})),
        ),
    )
lab.mistake(
    "a value equal to the limit still fits; compare with <=",
    lambda accuracies, measure, limits: _best(
        accuracies, lambda name: all(n < limits[w] for w, n in measure(name).items())
    ),
)


@lab.mistake("you returned the first that fits, not the most accurate that fits")
def _(accuracies, measure, limits):
    return next((name for name in accuracies if _within(measure(name), limits)), None)


for scarce in LIMITS:
    for _word, _of in (("least", min), ("most", max)):

        @lab.mistake(
            f"you returned the network that needs {_word} of those that fit; return "
            "the most accurate"
        )
        def _(accuracies, measure, limits, scarce=scarce, of=_of):
            found = {name: measure(name) for name in accuracies}
            fitting = [name for name in found if _within(found[name], limits)]
            return of(fitting, key=lambda name: found[name][scarce], default=None)


@lab.mistake("you returned the accuracy; return the name")
def _(accuracies, measure, limits):
    name = best_that_fits(accuracies, measure, limits)
    return accuracies.get(name)


lab.mistake(
    "you accept a network that keeps one limit; all three have to hold",
    lambda accuracies, measure, limits: _best(
        accuracies, lambda name: any(n <= limits[w] for w, n in measure(name).items())
    ),
)


@lab.mistake("you give up after the first try; return None only after the loop")
def _(accuracies, measure, limits):
    name = max(accuracies, key=accuracies.get)
    return name if _within(measure(name), limits) else None


@lab.mistake("you sorted by name; sort by accuracy, with key=lambda name: ...")
def _(accuracies, measure, limits):
    names = sorted(accuracies, reverse=True)
    return next((name for name in names if _within(measure(name), limits)), None)


@lab.mistake("you returned the least accurate network that fits")
def _(accuracies, measure, limits):
    fitting = [name for name in accuracies if _within(measure(name), limits)]
    return min(fitting, key=accuracies.get, default=None)


EVERY = (
    "you measured every network; try the most accurate first, and stop when one fits"
)


@lab.mistake(EVERY)
def _(accuracies, measure, limits):
    return _best(accuracies, lambda name: _within(measure(name), limits))


@lab.mistake(EVERY)
def _(accuracies, measure, limits):
    ranked = sorted(accuracies, key=accuracies.get, reverse=True)
    fitting = [name for name in ranked if _within(measure(name), limits)]
    return fitting[0] if fitting else None


@lab.mistake("you measured networks that are not needed; try the most accurate first")
def _(accuracies, measure, limits):
    best = None
    for name, accuracy in accuracies.items():
        better = best is None or accuracy > accuracies[best]
        if better and _within(measure(name), limits):
            best = name
    return best


@lab.mistake("you take entries out of accuracies; leave it as it is, or take a copy")
def _(accuracies, measure, limits):
    while accuracies:
        name = max(accuracies, key=accuracies.get)
        accuracies.pop(name)
        if _within(measure(name), limits):
            return name
    return None


@lab.mistake("you measured a network more than once; keep what measure(name) returns")
def _(accuracies, measure, limits):
    for name in sorted(accuracies, key=accuracies.get, reverse=True):
        if all(measure(name)[what] <= limits[what] for what in limits):
            return name
    return None
