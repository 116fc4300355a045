"""What an import loads, in a fresh process."""

import ast
import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("tensorflow", "tensorflow_datasets", "flax", "optax", "orbax", "sklearn", "rich", "tyro", "jinja2")


def loaded(code):
    code += f"\nimport sys, json\nprint(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)


def test_the_package_is_light():
    assert loaded("import jaxdc.losses, jaxdc.cluster; from jaxdc import losses; losses.kl_divergence") == []
    assert "jinja2" not in loaded("import jaxdc.report")
    assert loaded("from jaxdc.probe import linear_probe, knn_probe") == ["optax"]


def test_no_tensorflow():
    code = "import jaxdc.methods, jaxdc.runs, jaxdc.data, jaxdc.cli, jaxdc.sklearn"
    assert not {"tensorflow", "tensorflow_datasets"} & set(loaded(code))


def test_public_names_are_there():
    import jaxdc

    for name in dir(jaxdc):
        assert getattr(jaxdc, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = jaxdc.nonsense


def test_import_takes_less_than_half_a_second_more_than_jax():
    # Processor time, as other processes may keep this one waiting.
    timing = "import time, jax; t = time.process_time(); import jaxdc; print(time.process_time() - t)"
    done = subprocess.run([sys.executable, "-c", timing], capture_output=True, text=True)
    assert float(done.stdout) < 0.5


PACKAGE = Path(__file__).parents[1] / "jaxdc"
# What each part may import, besides itself: the parts in the lines before its own.
ORDER = (
    ("errors", "version"),
    ("writing", "reading", "csv_tables", "float32", "settings"),
    ("metrics", "losses", "cluster", "augment", "distributed"),
    ("nn",),
    ("methods",),
    ("data",),
    ("embed",),
    ("train",),
    ("probe",),
    ("runs",),
    ("describe", "export", "edit", "duplicates", "sample", "probe.run", "workspaces", "experiment"),
    ("report",),
    ("choose_k",),
    ("sklearn",),
    ("cli",),
)


def imports() -> dict[str, set[str]]:
    """Of every module of the package those that it imports, anywhere in it, for type checkers as well."""
    modules = {
        ".".join(("jaxdc", *path.relative_to(PACKAGE).with_suffix("").parts)): path
        for path in PACKAGE.rglob("*.py")
    }
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    found = {}
    for name, path in modules.items():
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    found[name] |= {whole} if whole in modules else {node.module} & set(modules)
            elif isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names} & set(modules)
    return found


def test_no_two_files_import_each_other():
    graphlib.TopologicalSorter(imports()).prepare()  # raises CycleError, which names them


def test_imports_point_one_way():
    place = {part: i for i, parts in enumerate(ORDER) for part in parts}

    def part(module):
        names = module.split(".")[1:]
        return names[0] if ".".join(names[:2]) not in place else ".".join(names[:2])

    wrong = []
    for name, imported in imports().items():
        if "." not in name or name == "jaxdc.__main__":
            continue
        for other in (one for one in imported if "." in one):
            same = part(name).split(".")[0] == part(other).split(".")[0]
            if place[part(other)] > place[part(name)] or (place[part(other)] == place[part(name)] and not same):
                wrong.append(f"{name} -> {other}")
    assert wrong == []
