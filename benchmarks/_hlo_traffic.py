"""Kernels of a compiled program, and the bytes that each moves through memory, read from its optimised HLO.

A fusion, a library call or a copy is one kernel. It reads each of its operands and writes its results once; what
stays inside a fusion costs nothing. Caches, and operands that are read in part (a gather), are not modelled.
"""

from __future__ import annotations

import collections
import dataclasses
import re

ITEM_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "f32": 4, "s32": 4, "u32": 4}
ITEM_BYTES |= {"f64": 8, "s64": 8, "u64": 8}
ARRAY = re.compile(r"\b(pred|bf16|[suf]\d+)\[([\d,]*)\]")
COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$")
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)")
FREE = {"parameter", "get-tuple-element", "tuple", "bitcast", "constant", "after-all", "while", "partition-id"}
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
COLLECTIVE = re.compile(rf" = (.*?) ({'|'.join(COLLECTIVES)})(-start)?\(")
KINDS = {  # the first that a kernel's name or target holds one of
    "convolution": ("cudnn$conv", "convolution"),
    "matrix product": ("gemm", "dot", "matmul"),
    "collective": COLLECTIVES,
    "reduction": ("reduce",),
    "copy": ("copy", "transpose", "pad", "memset"),
}


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One kernel.

    Attributes:
      name: as the compiler calls it.
      kind: one of ``KINDS``, or "elementwise".
      bytes: of its operands and its results.
      source: operation of the traced program that it comes from.
    """

    name: str
    kind: str
    bytes: int
    source: str


def n_bytes(shapes: str) -> int:
    """Of all arrays in a type, such as ``(bf16[8,4]{1,0}, f32[4])``."""
    total = 0
    for dtype, sizes in ARRAY.findall(shapes):
        n = ITEM_BYTES[dtype]
        for size in filter(None, sizes.split(",")):
            n *= int(size)
        total += n
    return total


def kernels_of(hlo: str) -> list[Kernel]:
    """The kernels of a training step: of the computation with the most convolutions, maybe a loop's body."""
    body = max(_computations(hlo).values(), key=lambda lines: sum("conv" in line for line in lines))
    types: dict[str, str] = {}
    kernels = []
    for line in body:
        found = INSTRUCTION.match(line)
        if found is None:
            continue
        name, shapes, operation, rest = found.groups()
        types[name] = shapes
        if operation in FREE or operation.endswith("-done"):
            continue
        operands = re.findall(r"%([\w.\-]+)", rest.split("), ")[0])
        moved = n_bytes(shapes) + sum(n_bytes(types.get(operand, "")) for operand in operands)
        target = re.search(r'custom_call_target="([^"]+)"', line)
        source = re.search(r'op_name="([^"]*)"', line)
        what = (target[1] if target else name if operation == "fusion" else operation).lower()
        kind = next((kind for kind, parts in KINDS.items() if any(p in what for p in parts)), "elementwise")
        kernels.append(Kernel(name, kind, moved, source[1] if source else ""))
    return kernels


def collectives(hlo: str) -> list[tuple[str, int]]:
    """Kind of each exchange between devices in a program, and the bytes that a device gets by it, in order.

    An asynchronous one counts where it begins, whose result is what is sent beside what arrives.
    """
    found = []
    for shapes, kind, start in COLLECTIVE.findall(hlo):
        arrays = [match[0] for match in ARRAY.finditer(shapes)]
        arrives = arrays[len(arrays) // 2 :] if start and kind != "all-reduce" else arrays
        found.append((kind, sum(map(n_bytes, arrives))))
    return found


def collectives_of(hlo: str) -> dict[str, tuple[int, int]]:
    """How often each kind of exchange between devices is in a program, and the bytes that a device gets by it."""
    found: dict[str, tuple[int, int]] = {}
    for kind, size in collectives(hlo):
        number, moved = found.get(kind, (0, 0))
        found[kind] = number + 1, moved + size
    return found


def waits_for_host(hlo: str) -> bool:
    """Whether a loop's end is decided as it runs: a GPU then sends the condition to the host at every turn."""
    return any(" while(" in line and '"known_trip_count"' not in line for line in hlo.splitlines())


def by_kind(kernels: list[Kernel]) -> dict[str, tuple[int, int]]:
    """Number and bytes of the kernels of each kind, the most bytes first."""
    numbers: dict[str, int] = collections.Counter()
    moved: dict[str, int] = collections.Counter()
    for kernel in kernels:
        numbers[kernel.kind] += 1
        moved[kernel.kind] += kernel.bytes
    return {kind: (numbers[kind], moved[kind]) for kind in sorted(moved, key=lambda kind: -moved[kind])}


def _computations(hlo: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in hlo.splitlines():
        begins = COMPUTATION.match(line)
        if begins:
            lines = found.setdefault(begins[1], [])
        elif line.startswith("}"):
            lines = None
        elif lines is not None:
            lines.append(line)
    return found
