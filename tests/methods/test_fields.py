"""Fields of hyper-parameters: ranges and types."""

import dataclasses
import json
from typing import Literal

import jax.numpy as jnp
import numpy as np
import pytest

import jaxdc
from jaxdc.errors import InputError
from jaxdc.methods.base import check_fields, field
from jaxdc.nn import Backbone
from jaxdc.settings import seed_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    count: int = field(5, at_least=1)
    rate: float = field(0.1, above=0, below=1)
    widths: tuple[int, ...] = field((8, 4), at_least=1)
    sigma: tuple[float, float] | None = field(None, above=0)
    limit: int | None = field(None, at_least=2, at_most=9)
    kind: Literal["a", "b"] = "a"
    other: Literal["c", "d"] | None = None
    on: bool = False
    name: str = "x"

    def __post_init__(self):
        check_fields(self)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"count": np.int32(3), "rate": np.float32(0.5)},
        {"rate": 0.99, "widths": (), "sigma": (0.1, 2)},
        {"limit": 9, "kind": "b", "other": "d", "on": True},
    ],
)
def test_what_fits(settings):
    Settings(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 0}, "count must be at least 1, but is 0"),
        ({"count": 2.0}, r"count must be an integer, but is 2\.0"),
        ({"count": True}, "count must be an integer, but is True"),
        ({"count": None}, "count must be an integer, but is None"),
        ({"count": "5"}, "count must be an integer, but is '5'"),
        ({"rate": 0}, "rate must be above 0 and below 1, but is 0"),
        ({"rate": 1.0}, r"rate must be above 0 and below 1, but is 1\.0"),
        ({"rate": float("nan")}, "rate must be finite, but is nan"),
        ({"rate": float("inf")}, "rate must be finite, but is inf"),
        ({"rate": "fast"}, "rate must be a number, but is 'fast'"),
        ({"widths": (8, 0)}, "widths must be at least 1, but is 0"),
        ({"widths": (8, 4.5)}, r"widths must be an integer, but is 4\.5"),
        ({"sigma": (0.1, -2.0)}, r"sigma must be above 0, but is -2\.0"),
        ({"limit": 10}, "limit must be at least 2 and at most 9, but is 10"),
        ({"kind": "c"}, "kind must be one of a, b, not 'c'"),
        ({"kind": None}, "kind must be one of a, b, not None"),
        ({"other": "a"}, "other must be one of c, d, not 'a'"),
        ({"on": 1}, "on must be True or False, but is 1"),
    ],
)
def test_what_does_not_fit_is_named(settings, message):
    with pytest.raises(InputError, match=message):
        Settings(**settings)


def test_a_class_within_a_function_is_checked_by_its_ranges():
    class Inner: ...

    @dataclasses.dataclass(frozen=True)
    class Local:
        inner: "Inner | None" = None
        count: int = field(5, at_least=1)

    with pytest.raises(InputError, match="count must be at least 1"):
        check_fields(Local(count=0))


def test_every_number_of_a_method_has_a_range():
    """So that none of a new method is forgotten."""
    for entry in jaxdc.methods.entries():
        for each in dataclasses.fields(entry.method):
            if each.type in ("int", "float", "int | None", "float | None"):
                assert "range" in each.metadata, f"{entry.method.__name__}.{each.name}"


def test_numbers_of_numpy_and_lists_become_plain():
    given = {"count": jnp.max(jnp.arange(4)), "rate": np.float32(0.5), "on": np.True_}
    settings = Settings(**given, widths=[np.int64(8), 8], sigma=np.array([0.5, 2.0]))
    assert settings == Settings(count=3, rate=0.5, widths=(8, 8), sigma=(0.5, 2.0), on=True)
    assert {type(value) for value in (settings.count, *settings.widths)} == {int}
    assert (type(settings.rate), type(settings.on), type(settings.sigma)) == (float, bool, tuple)
    json.dumps(dataclasses.asdict(settings))
    hash(settings)


def test_numbers_of_numpy_in_what_a_method_holds():
    method = jaxdc.SimCLR(n_clusters=np.int32(3), backbone=Backbone(depth=np.int64(18), width=np.int64(4)))
    assert type(method.backbone.depth) is int
    assert method == jaxdc.SimCLR(n_clusters=3, backbone=Backbone(depth=18, width=4))


@pytest.mark.parametrize("seed", [-1, 2**32, 2**63, 10**30, True, 1.0, "1", None])
def test_seeds_are_integers_of_32_bits(seed):
    with pytest.raises(InputError, match="seed (must be|is too large)"):
        seed_of(seed)
    assert seed_of(np.uint32(2**32 - 1)) == 2**32 - 1


def test_an_integer_that_no_machine_holds_is_refused():
    with pytest.raises(InputError, match="widths is too large: a number of 67 bits"):
        Settings(widths=(8, 10**20))
    with pytest.raises(InputError, match="n_init must be at least 1 and at most 10000, but is 1000000000"):
        jaxdc.KMeans(n_clusters=2, n_init=10**9)
