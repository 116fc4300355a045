import pytest

from jaxdc.report.text import cut, number, shown


def test_what_no_page_can_hold_is_replaced():
    assert shown("a\x00b\udcffc\x9f\n") == "a\ufffdb\ufffdc\ufffd\n"
    assert shown(3) == "3"


def test_cut_between_words_if_it_can_be():
    assert cut("one  two\nthree", 100) == "one two three"
    assert cut("one two three", 11) == "one two …"
    assert cut("x" * 50, 10) == "x" * 10 + " …"


@pytest.mark.parametrize(
    ("value", "text"), [(1234567.0, "1,234,567"), (0.123456, "0.1235"), (1e-9, "1e-09"), (2, "2"), (-3.5, "-3.5")]
)
def test_numbers(value, text):
    assert number(value) == text
