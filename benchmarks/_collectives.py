"""What a compiled step sends between devices: read off its optimised program."""

from __future__ import annotations

import math
import re

BYTES = {
    "pred": 1,
    "s8": 1,
    "u8": 1,
    "bf16": 2,
    "f16": 2,
    "f32": 4,
    "s32": 4,
    "u32": 4,
    "f64": 8,
    "s64": 8,
    "u64": 8,
}
KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast"


def collectives(program):
    """Kind and bytes of each collective of a compiled program, in order; the bytes of its result on a device.

    An asynchronous one counts where it begins, whose result is the operand beside what arrives: the latter counts.
    """
    found = []
    for result, kind, start in re.findall(rf"= (\(.*?\)|\S+) ({KINDS})(-start)?\(", program):
        sizes = [
            BYTES[dtype] * math.prod(int(d) for d in dims.split(",") if d)
            for dtype, dims in re.findall(r"([a-z]+\d*)\[([\d,]*)\]", result)
        ]
        halved = start and kind != "all-reduce"
        found.append((kind, sum(sizes[len(sizes) // 2 :] if halved else sizes)))
    return found
