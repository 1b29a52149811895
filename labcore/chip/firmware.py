"""From C to what the board's flash holds, and where every byte of it went."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labcore import runtime
from labcore.chip.elf import Elf, Symbol
from labcore.chip.program import Program
from labcore.runtime import LabError

__all__ = [
    "BOARD",
    "IMAGINARY",
    "Board",
    "Firmware",
    "build",
    "compiled",
    "need",
    "zig",
]

C = Path(__file__).parent / "c"
FLASH, RAM = 0x08000000, 0x20000000
STACK = 1024
COMPILER = (
    *("cc", "-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4+vfp4d16sp"),
    *("-O2", "-ffreestanding", "-fno-sanitize=all", "-nostdlib", "-g0", "-std=c11"),
    "-fno-finite-loops",  # a loop without end has to run, and to be stopped
    # a value that was never set would be another one at each run
    *("-Werror=uninitialized", "-Werror=sometimes-uninitialized"),
    "-Werror=return-type",
)
SECONDS = 120
# C may ask for any amount of memory: the compiler gets 1 GiB, and files of 32 MiB
LIMITED = """
import runpy, sys
try:
    import resource
    for kind, most in (resource.RLIMIT_AS, 1 << 30), (resource.RLIMIT_FSIZE, 1 << 25):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard < 0 else min(most, hard), hard))
except ImportError:  # Windows has no such limits
    pass
runpy.run_module("ziglang", run_name="__main__")
"""
IN_PLAIN_WORDS = (
    (
        r"use of undeclared identifier '(True|False|None|and|or|not)'",
        r"\1 is Python; C has 1, 0, &&, || and !",
    ),
    (
        r"use of undeclared identifier '(\w+)'",
        r"\1 has no type yet: write the type first, as in int i or float sum",
    ),
    (r"variable '(\w+)' is .*uninitialized", r"give \1 its first value, as in \1 = 0"),
    (
        r"non-void function does not return",
        "the function can end without a return: put it after the loops",
    ),
    (r"expected '\(' after '(\w+)'", r"after \1, C wants round brackets: \1 (...)"),
    (
        r"expected ';' in 'for'",
        "a for loop has three parts with ; between them, and `and` is && in C",
    ),
    (r"expected ';'", "a semicolon is missing here, or in the line before"),
    (
        r"unknown type name '(def|sum|bits|for|return)'",
        r"\1 cannot stand here: C begins with a type, as in float sum = 0",
    ),
    (
        r"expected identifier or '\('",
        "this stands outside of a function: is its first line missing, or did a } come "
        "too early?",
    ),
    (
        r"invalid operands to binary expression \(.*\*|incompatible pointer to ",
        "a pointer is no number: *p is what it points to",
    ),
    (
        r"invalid operands to binary expression \(.*float",
        "&, | and shifts want whole numbers (uint32_t), not float",
    ),
    (r"indirection requires pointer", "* reads from a pointer; C has no power **"),
    (
        r"read-only variable is not assignable",
        "this may only be read: copy it into a variable of your own and change that",
    ),
    (r"type specifier missing", "a type is missing in front of the name"),
    (r"expected '([]})])'", r"a closing \1 is missing"),
    (r"call to undeclared .*function '(\w+)'", r"the board has no function \1"),
    (r"conflicting types for '(\w+)'", r"\1 has other types than the exercise says"),
)


@dataclass(frozen=True)
class Board:
    """A microcontroller: how much it holds, and how fast its clock is."""

    name: str
    flash: int
    ram: int
    megahertz: int = 84


BOARD = Board("STM32F401xC", 256 * 1024, 64 * 1024)
IMAGINARY = Board("an imaginary board", 4 * 1024 * 1024, 1024 * 1024)


@dataclass(frozen=True)
class Firmware:
    """A program that fits its board.

    program   None where only C was compiled
    flash     the bytes of the flash
    symbols   every function and object, and the linker's names
    """

    program: Program | None
    flash: bytes
    ram: int
    symbols: Mapping[str, Symbol]

    def memory_map(self) -> dict[str, dict[str, int]]:
        """{"flash": {what: bytes}, "RAM": {what: bytes}}; the rest of a sum is free."""
        parts: dict[str, dict[str, int]] = {"flash": {}, "RAM": {}}
        for symbol in self.symbols.values():
            if symbol.size:
                where = parts["flash" if symbol.address < RAM else "RAM"]
                name = _what(symbol)
                where[name] = where.get(name, 0) + symbol.size
        parts["RAM"]["stack"] = STACK
        for where, total in (("flash", len(self.flash)), ("RAM", self.ram)):
            gaps = total - sum(parts[where].values())
            parts[where] |= {"gaps for alignment": gaps} if gaps else {}
        return parts


def _what(symbol: Symbol) -> str:
    """In which part of the memory map a symbol counts."""
    if symbol.section == ".text":
        return "code"
    names = {"arena": "activations", "plane": "one channel", "vectors": "code"}
    layer = re.match(r"([a-z]+\d*)_(?:weights|mask|bias)", symbol.name)
    return layer[1] if layer else names.get(symbol.name, "tables")


def build(program: Program, board: Board = BOARD, own: str = "") -> Firmware:
    """Compile and link a network; LabError if it does not fit the board.

    own   C of one's own: its sparse_dot takes the place of the course's
    """
    return _linked({"network.c": program.source()} | _answer(own), board, program)


def compiled(source: str) -> Firmware:
    """Compile C of one's own beside the course's kernels, to try its functions."""
    start = (
        "void entry(void) { for (;;); }\n"
        "extern char stack_top[];\n"
        '__attribute__((section(".vectors"), used))\n'
        "const void *const vectors[] = {stack_top, (void *)entry};\n"
        "float arena[8192] __attribute__((used));\n"
    )
    return _linked({"start.c": start} | _answer(source), BOARD, None)


def _answer(source: str) -> dict[str, str]:
    """C of one's own as a file, in which the compiler counts lines as its author."""
    return {"answer.c": f'#include "kernels.h"\n#line 1\n{source}\n'} if source else {}


def _linked(files: Mapping[str, str], board: Board, program: Program | None):
    need("ziglang")
    elf = Elf(_elf(tuple(files.items()), board))
    taken = [
        address + size - RAM
        for address, size in elf.sections().values()
        if size and address >= RAM
    ]
    symbols = {symbol.name: symbol for symbol in elf.symbols()}
    return Firmware(program, elf.flash(FLASH), max(taken), symbols)


@functools.lru_cache(maxsize=8)  # a notebook builds the same program again and again
def _elf(files: tuple[tuple[str, str], ...], board: Board) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, text in files:
            (place / name).write_text(text, encoding="utf-8")
        script = (C / "board.ld").read_text(encoding="utf-8")
        sizes = {"FLASH_BYTES": board.flash, "RAM_BYTES": board.ram}
        for word, number in (sizes | {"STACK_BYTES": STACK}).items():
            script = re.sub(rf"(?<=[= ]){word}(?=\W)", str(number), script)
        (place / "board.ld").write_text(script, encoding="utf-8")
        sources = [*dict(files), str(C / "kernels.c")]
        link = [
            "-Wl,-T,board.ld",
            "-Wl,--no-gc-sections",
            "-Wl,-e,entry",
            "-o",
            "network.elf",
        ]
        said = zig([*COMPILER, f"-I{C}", *sources, *link], place)
        if not (place / "network.elf").is_file():
            raise LabError(_explained(said, board))
        return (place / "network.elf").read_bytes()


def need(package: str) -> None:
    """LabError if a package of the extra `chip` is missing."""
    if not importlib.util.find_spec(package):
        raise LabError(
            "Lab 11 needs a C compiler and an emulator: run "
            "`python -m labcore setup chip`, then start again."
        )


def zig(arguments: list[str], folder: Path) -> str:
    """Run the compiler; returns what it says."""
    cache = runtime.cache_folder() / "zig"
    environment = os.environ | {
        "ZIG_GLOBAL_CACHE_DIR": str(cache),
        "ZIG_LOCAL_CACHE_DIR": str(cache),
    }
    command = [sys.executable, "-c", LIMITED, *arguments]
    options = {"cwd": folder, "env": environment, "capture_output": True, "text": True}
    try:
        done = subprocess.run(command, **options, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise LabError(
            f"The compiler was not done after {SECONDS} seconds: the C is too large."
        ) from None
    return done.stderr if done.returncode else ""


def _explained(said: str, board: Board) -> str:
    """What the compiler or the linker says, as one sentence."""
    over = dict(re.findall(r"region '(\w+)': overflowed by (\d+) bytes", said))
    if over:
        sizes = {"FLASH": board.flash, "RAM": board.ram}
        parts = [
            f"{int(bytes_):,} bytes more {'flash' if where == 'FLASH' else where} than "
            f"the {sizes[where]:,} there are"
            for where, bytes_ in over.items()
        ]
        return f"The program does not fit {board.name}: it takes {' and '.join(parts)}."
    errors = re.findall(r"\.c:(\d+):\d+: error: (.*)", said)
    missing = re.findall(r"undefined symbol: (\w+)", said)
    parts = [f"line {line}: {_plain(words)}" for line, words in errors]
    if any(name.startswith(("__aeabi_d", "__aeabi_f2d")) for name in missing):
        parts.append("the processor computes in float only, so do not use double")
    else:
        parts += [f"there is no function {name} on the board" for name in missing]
    twice = re.findall(r"duplicate symbol: (\w+)", said)
    parts += [f"{name} is there already, so rename yours" for name in twice]
    told = list(dict.fromkeys(parts))[:3] or ["it is too large, or the compiler failed"]
    return "The C does not compile: " + "; ".join(told)


def _plain(words: str) -> str:
    """What the compiler says about a mistake, for beginners."""
    for pattern, plain in IN_PLAIN_WORDS:
        if found := re.match(pattern, words):
            return found.expand(plain)
    return words
