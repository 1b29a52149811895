"""Lab 11's checks, held against right and wrong answers."""

import pytest
import torch
from answers import LabTests, likely

pytest.importorskip("ziglang", reason="a part of its own: labcore setup chip")
pytest.importorskip("unicorn", reason="a part of its own: labcore setup chip")

from labcore.checks import lab11  # noqa: E402
from labcore.checks.lab11 import machine  # noqa: E402

HEAD = (
    "float sparse_dot(const uint32_t *mask, const half *values, const float *x, int n)"
)


def c(body, head=HEAD):
    return lambda: f"{head} {{\n{body}\n}}"


def unpack(words, values, fan_in):
    bits = words[:, :, None] >> torch.arange(32) & 1
    mask = bits.flatten(1)[:, :fan_in].bool()
    weight = torch.zeros(mask.shape)
    weight[mask] = values.float()
    return weight


def unpack_by_counting(words, values, fan_in):
    weight, taken = torch.zeros(len(words), fan_in, dtype=torch.float32), 0
    for row in range(len(words)):
        for k in range(fan_in):
            word = int(words[row][k // 32])
            if (word // 2 ** (k % 32)) % 2 == 1:
                weight[row, k] = values[taken].item()
                taken += 1
    return weight


def unpack_by_text(words, values, fan_in):
    rows = ["".join(f"{w:032b}"[::-1] for w in row.tolist())[:fan_in] for row in words]
    mask = torch.tensor([[bit == "1" for bit in row] for row in rows])
    return torch.zeros(mask.shape).masked_scatter(mask, values.float())


def best(accuracies, measure, limits):
    left = dict(accuracies)
    while left:
        name = max(left, key=left.get)
        del left[name]
        needed = measure(name)
        if not any(needed[what] > limits[what] for what in needed):
            return name


def best_by_pairs(accuracies, measure, limits):
    for _, name in sorted(((a, n) for n, a in accuracies.items()), reverse=True):
        flash, ram, work = (measure(name) | {}).values()
        if flash <= limits["flash"] and ram <= limits["RAM"]:
            if work <= limits["instructions"]:
                return name
    return None


def best_by_next(accuracies, measure, limits):
    names = sorted(accuracies, key=accuracies.get)[::-1]
    fits = (all(v <= limits[k] for k, v in measure(name).items()) for name in names)
    return next((name for name, ok in zip(names, fits, strict=True) if ok), None)


def best_that_empties(accuracies, measure, limits):
    name = best(accuracies, measure, limits)
    accuracies.clear()
    return name


def best_by_flash(accuracies, measure, limits):
    for name in sorted(accuracies, key=lambda name: measure(name)["flash"]):
        if all(n <= limits[what] for what, n in measure(name).items()):
            return name


def best_in_their_order(accuracies, measure, limits):
    found, highest = None, 0
    for name, accuracy in accuracies.items():
        if accuracy > highest:
            if all(n <= limits[what] for what, n in measure(name).items()):
                found, highest = name, accuracy
    return found


WHILE = """
    float total = 0.0f;
    int words = (n + 31) / 32, next = 0;
    for (int w = 0; w < words; w++) {
        uint32_t left = mask[w];
        while (left != 0) {
            int bit = __builtin_ctz(left);   // the lowest one
            total += (float)values[next] * x[32 * w + bit];
            next = next + 1;
            left = left & (left - 1);
        }
    }
    return total;
"""
POINTERS = """
    float sum = 0.0;
    const float *end = x + n;
    for (; x < end; x += 32, mask++) {
        uint32_t bits = *mask;
        while (bits) {
            int k = __builtin_ctz(bits);
            bits ^= 1u << k;
            sum += (float)*values++ * x[k];
        }
    }
    return sum;
"""
RIGHT = {
    "unpack": [
        ("shifts", unpack),
        ("one by one", unpack_by_counting),
        ("text of bits", unpack_by_text),
    ],
    "sparse_dot": [
        ("while", c(WHILE)),
        ("own pointers", c(POINTERS)),
        (
            "a helper of its own",
            lambda: (
                "/* mine: # counts */ static float add(float a, half w, float x)"
                " { return a + w * x; }\n"
                + c(
                    WHILE.replace(
                        "total += ",
                        "total = add(total, values[next], x[32 * w + bit]); //",
                    )
                )()
            ),
        ),
    ],
    "best_that_fits": [
        ("the best left", best),
        ("pairs", best_by_pairs),
        ("next", best_by_next),
    ],
}
LOOP = (
    "float s = 0; for (int i = 0; i < n; i += 32)"
    " for (uint32_t b = *mask++; b; b &= b - 1)"
)
WRONG = {
    "unpack": [
        (
            "a list",
            lambda w, v, n: unpack(w, v, n).tolist(),
            "one weight",
            "return a tensor",
        ),
        ("double", lambda w, v, n: unpack(w, v, n).double(), "one weight", None),
    ],
    "sparse_dot": [
        ("not text", lambda: 3, "C that compiles", None),
        ("no text", str, "C that compiles", None),
        ("only a declaration", lambda: f"{HEAD};", "C that compiles", None),
        ("another name", c("return 0;", "float dot(int n)"), "C that compiles", None),
        (
            "no first value",
            c("float s; while (n--) s += *values++ * *x++; return s;"),
            "C that compiles",
            None,
        ),
        ("no return", c("float s = 0; s += n;"), "C that compiles", None),
        (
            "one less instead of one bit less",
            c(f"{LOOP.replace('b &= b - 1', 'b--')} s += *values++ * x[i]; return s;"),
            "a weight further on",
            None,
        ),
        ("an include", lambda: '#include "kernels.h"\n', "C that compiles", None),
        (
            "double",
            c("double s = 0; while (n--) s += x[n]; return s;"),
            "C that compiles",
            None,
        ),
        (
            "does not end",
            c("float s = 0; uint32_t b = *mask; while (b) s += x[0]; return s;"),
            "one weight",
            None,
        ),
        ("a wild pointer", c("return *(float *)16;"), "one weight", None),
        (
            "every bit, word by word",
            c(
                "float s = 0; for (int w = 0; w < (n + 31) / 32; w++)"
                " for (int k = 0; k < 32; k++)"
                " if (mask[w] >> k & 1) s += *values++ * x[32 * w + k]; return s;"
            ),
            "work follows the kept weights",
            "you look at every bit",
        ),
        (
            "reads a value too many",
            c(f"{LOOP} s += *values++ * x[i + __builtin_ctz(b)]; return s + *values;"),
            "one weight",
            None,
        ),
    ],
    "best_that_fits": [
        ("nothing", lambda a, m, limits: None, "one that fits", None),
        ("empties accuracies", best_that_empties, "random candidates", None),
        (
            "the smallest",
            best_by_flash,
            "the more accurate one",
            "you returned the network that needs least",
        ),
        (
            "in their order",
            best_in_their_order,
            "no more trials than needed",
            "you measured networks that are not needed",
        ),
    ],
}


class TestLab11(LabTests):
    lab, right, wrong = lab11, RIGHT, WRONG


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("#define A A A", "begins with #"),
        ("%:include <x>", "begins with #"),
        ('??=embed "/etc/passwd"', "begins with #"),
        ('void f(void) { __asm__(".incbin \\"x\\""); }', "a backslash"),
        ("void f(void) { as\\\nm(); }", "a backslash"),
        ('_Pragma("GCC poison x")', "assembler or a pragma"),
        ("__asm(0);", "assembler or a pragma"),
        ('char *a = "/*"; __asm__(0); char *b = "*/";', "assembler or a pragma"),
        ('char *a = "//"; __asm__(0);', "assembler or a pragma"),
        ("// a comment ends here\r __asm__(0);", "assembler or a pragma"),
        ("void f(void) { __as??/\nm__(0); }", "two question marks"),
        ("/* *??/\n/ __asm__(0); /* */", "two question marks"),
        ("int a;" * 1000, "6,000 characters"),
    ],
)
def test_what_could_read_files_or_explode_is_not_compiled(source, said):
    assert said in machine.refused(source)


def test_an_endless_loop_and_a_wild_pointer_are_told_and_the_next_answer_runs():
    exercise = lab11.EXERCISES["sparse_dot"]
    endless = exercise.run(c("for (;;) n++;")).message
    assert "still running after 20,000 basic blocks" in endless, endless
    wild = exercise.run(c("return x[100000000];")).message
    assert "no memory" in wild and likely(wild) == "", wild
    assert exercise.run(RIGHT["sparse_dot"][0][1]).status == "passed"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sum = 0;", "sum has no type yet"),
        ("float sum; return sum;", "give sum its first value"),
        ("if (n) return 0;", "put it after the loops"),
        ("for i in range(n): pass", "after for, C wants round brackets"),
        ("while (True) n--; return 0;", "True is Python"),
        ("uint32_t bits = mask; return 0;", "a pointer is no number"),
        ("return 2 * values;", "a pointer is no number"),
        ("*mask &= *mask - 1; return 0;", "this may only be read"),
        ("return 2 ** n;", "C has no power"),
        ("float b = 1; return b & 1;", "want whole numbers"),
    ],
)
def test_the_compiler_speaks_to_beginners(body, said):
    message = lab11.EXERCISES["sparse_dot"].run(c(body)).message
    assert said in " ".join(message.split()), message


def test_the_reference_in_c_is_the_courses_own():
    board, _ = machine._board(lab11.sparse_dot())
    assert board.firmware.symbols["sparse_dot"].size > 0
