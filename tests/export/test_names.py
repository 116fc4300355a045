from pathlib import PurePath

import pytest

from jaxdc.export.names import names_for, safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("cat.png", "cat.png"),
        ('a"b<c>?.png', "a_b_c__.png"),
        ("CON.png", "_CON.png"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("console.png", "console.png"),
        ("trailing. ", "trailing"),
        ("...", "_"),
        ("写真 é.png", "写真 é.png"),
        ("line\nbreak\udcff.png", "line_break_.png"),
        (".hidden", ".hidden"),
    ],
)
def test_names_that_every_system_takes(name, safe):
    assert safe_name(name) == safe


def test_a_long_name_keeps_its_suffix():
    name = safe_name("é" * 300 + ".jpeg")
    assert len(name.encode()) <= 180 and name.endswith("é.jpeg")


def test_the_same_name_in_two_folders():
    paths = [PurePath(p) for p in ("a/1.png", "b/1.png", "b/2.png", "c/x/1.PNG")]
    assert names_for(paths) == ["a__1.png", "b__1.png", "2.png", "c__x__1.PNG"]


def test_names_that_are_alike_even_with_their_folders():
    paths = [PurePath(p) for p in ("a/1?.png", "a/1*.png", "A/1:.png", "a__1_.png")]
    names = names_for(paths)
    assert len({name.casefold() for name in names}) == 4
    assert "a__1_.png" in names and "a__1_~2.png" in names
