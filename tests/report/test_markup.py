import json

import pytest

from jaxdc.report import markup


def test_no_text_becomes_markup():
    assert markup.name("<b a='1'>&\"") == "<bdi>&lt;b a=&#x27;1&#x27;&gt;&amp;&quot;</bdi>"
    assert markup.escaped("a\x00b\udcffc\x9f") == "a\ufffdb\ufffdc\ufffd"


def test_data_for_the_script_end_where_they_should():
    content = {"names": ["</script><!--", "\u2028", "\udcff", "é"]}
    made = markup.json_script("x", content)
    body = made.removeprefix('<script type="application/json" id="x">').removesuffix("</script>")
    assert "<" not in body
    assert json.loads(body) == {"names": ["</script><!--", "\u2028", "\ufffd", "é"]}


def test_cut_between_words_if_it_can_be():
    assert markup.cut("one  two\nthree", 100) == "one two three"
    assert markup.cut("one two three", 11) == "one two …"
    assert markup.cut("x" * 50, 10) == "x" * 10 + " …"


@pytest.mark.parametrize(
    ("value", "text"), [(1234567.0, "1,234,567"), (0.123456, "0.1235"), (1e-9, "1e-09"), (2, "2"), (-3.5, "-3.5")]
)
def test_numbers(value, text):
    assert markup.number(value) == text
