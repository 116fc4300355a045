"""The examples in the docstrings are true, and every public function has one."""

import doctest
import importlib
import inspect
import re

import jax
import jax.numpy as jnp
import pytest

MODULES = [importlib.import_module(f"jaxdc.{name}") for name in ("losses", "cluster", "metrics", "probe")]
FUNCTIONS = {
    f"{module.__name__}.{name}": (module, value)
    for module in MODULES
    for name, value in vars(module).items()
    if not name.startswith("_")
    and callable(value)
    and not isinstance(value, type)
    and inspect.unwrap(value).__module__.startswith("jaxdc")
}
NUMBER = re.compile(r"-?\d+(?:\.(\d*))?")


class WrittenDigits(doctest.OutputChecker):
    """A number need only be right in the digits that are written."""

    def check_output(self, want, got, optionflags):
        wanted, given = list(NUMBER.finditer(want)), list(NUMBER.finditer(got))
        return (
            NUMBER.sub("", want).split() == NUMBER.sub("", got).split()
            and len(wanted) == len(given)
            and all(
                abs(float(w[0]) - float(g[0])) <= 0.51 * 10.0 ** -len(w[1] or "")
                for w, g in zip(wanted, given, strict=True)
            )
        )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_example(name):
    module, function = FUNCTIONS[name]
    names = {**vars(module), "jax": jax, "jnp": jnp}
    (test,) = doctest.DocTestFinder(recurse=False).find(inspect.unwrap(function), name, globs=names)
    result = doctest.DocTestRunner(WrittenDigits()).run(test)
    assert result.attempted > 0
    assert result.failed == 0


def test_a_wrong_digit_is_noticed():
    checker = WrittenDigits()
    assert checker.check_output("[0.667 -1.]\n", "[ 0.6666667 -1.       ]\n", 0)
    assert not checker.check_output("[0.667 -1.]\n", "[ 0.6636667 -1.       ]\n", 0)
    assert not checker.check_output("[0.667 -1.]\n", "[ 0.6666667 ]\n", 0)
