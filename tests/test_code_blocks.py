"""Every block of code in README.md and docs/ runs, or, where it would take long, is at least understood."""

import dataclasses
import importlib
import re
import shlex
import tomllib
from pathlib import Path
from typing import final

import jax
import numpy as np
import pytest
import tyro

from jaxdc import cli
from jaxdc.experiment import choose
from jaxdc.methods import Method
from jaxdc.methods.base import Schedule, registry

pytestmark = pytest.mark.usefixtures("one_device_alone")

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    str(page.relative_to(ROOT)): page.read_text(encoding="utf-8")
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
BLOCK = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.M)
SHOWN = {"text", "toml", "{toctree}", "{image} pictures/report-digits.png", "{eval-rst}"}  # no code
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
# What a page that has no data of its own may use.
RANDOM = np.random.default_rng(0)
X = np.concatenate([RANDOM.normal(4 * i, 1, (40, 6)) for i in range(3)]).astype(np.float32)
GIVEN = {
    "x": X,
    "new_x": X[:5],
    "labels_true": np.repeat(np.arange(3), 40),
    "texts": [f"{a} {b} of {c}" for a in ("red", "blue") for b in ("cats", "dogs", "birds") for c in "opqrst"],
    "z1": jax.random.normal(jax.random.key(0), (16, 8)),
    "z2": jax.random.normal(jax.random.key(1), (16, 8)),
    "probs": jax.nn.softmax(jax.random.normal(jax.random.key(2), (16, 3))),
}
# The imports of a file that is begun; nothing is listed by what a page registers.
SKELETON = {"dataclasses": dataclasses, "final": final, "Method": Method, "register": lambda *_: lambda made: made}


def blocks(*languages):
    return [(page, code) for page, text in PAGES.items() for of, code in BLOCK.findall(text) if of in languages]


def test_every_block_says_what_it_is():
    languages = {of for text in PAGES.values() for of, _ in BLOCK.findall(text)}
    assert languages <= {"python", "sh"} | SHOWN
    assert len(blocks("python")) > 10 and len(blocks("sh")) > 6


SEARCHES = "docs/python.md"  # fits DEC six times
PROGRAMS = sorted({page for page, _ in blocks("python")} - {SEARCHES})


@pytest.mark.full
@pytest.mark.parametrize("page", [*PROGRAMS, SEARCHES])
def test_python_runs(page, tmp_path, monkeypatch):
    """Those of a page in their order, as one program; training takes an epoch."""
    monkeypatch.chdir(tmp_path)
    fitting = importlib.import_module("jaxdc.runs.fit")
    true = fitting.prepare

    def shortly(*args, schedule=None, **settings):
        asked = {name: value for name, value in vars(schedule or Schedule()).items() if value is not None}
        short = Schedule(**{"epochs": 1.0, "pretrain_epochs": 1.0} | asked | {"max_batch_size": 16})
        return true(*args, schedule=short, **settings)

    monkeypatch.setattr(fitting, "prepare", shortly)
    # A page registers a method of its own, which no other test is to see.
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    names = dict(GIVEN) | SKELETON
    for of, code in blocks("python"):
        if of == page:
            exec(compile(code, page, "exec"), names)


class Understood(Exception):
    """The arguments were read."""


def commands():
    """Each command of a block, and each that stands in a line of text."""
    found = []
    for page, code in blocks("sh"):
        for line in code.replace("\\\n", " ").splitlines():
            found += [(page, part.strip()) for part in line.split("#")[0].split("&&") if part.strip()]
    for page, text in PAGES.items():
        inline = re.findall(r"`(jaxdc [a-z][^`]*)`", BLOCK.sub("", text))
        found += [(page, " ".join(line.split())) for line in inline]
    return sorted(set(found))


def is_whole(line):
    """Whether a command in a line of text is one that can be typed, and not its name alone."""
    part = ("..." in line) or ("|" in line) or (line.startswith("jaxdc train") and "--" not in line)
    return len(line.split()) > 2 and not part


@pytest.mark.parametrize(("page", "line"), [c for c in commands() if "jaxdc " in c[1] and is_whole(c[1])])
def test_commands_are_understood(page, line, monkeypatch):
    """The parser of the command takes them; what follows the parsing does not run."""
    line = line[line.index("jaxdc ") :].replace("[", "").replace("]", "").rstrip('"')
    words = shlex.split(line)[1:]
    stand_ins = {"METHOD": "dec", "K": "3", "N": "3", "S": "0"}
    words = [stand_ins.get(word, word) for word in words]
    true = tyro.cli

    def parse(*args, **settings):
        true(*args, **settings)
        raise Understood

    monkeypatch.setattr(tyro, "cli", parse)
    if words == ["list"]:
        return
    with pytest.raises(SystemExit if "--help" in words else Understood):
        cli.main(words)
    experiment = next((word for word in words if word.startswith("experiments/") and "FILE" not in word), None)
    if experiment is not None:
        choose(ROOT / experiment, words[words.index("--on") + 1] if "--on" in words else None)


@pytest.mark.parametrize(("page", "line"), [c for c in commands() if "jaxdc " not in c[1]])
def test_other_commands_name_what_there_is(page, line):
    words = shlex.split(line)
    for extra in re.findall(r"\.\[([\w,]+)\]", line):
        assert set(extra.split(",")) <= set(EXTRAS)
    for file in (word for word in words if word.startswith("benchmarks/")):
        text = (ROOT / file.replace("on_a_gpu.sh", "_gpu_queue.py")).read_text()
        flags = [word for word in words if word.startswith("--")]
        assert [flag for flag in flags if f'"{flag}"' not in text] == []
    known = ("pip", "peer/bin/pip", "python", "pytest", "gcloud", "export", "srun", "benchmarks/on_a_gpu.sh")
    assert words[0] in known
