import numpy as np
import pytest

from jaxdc.data import open_source
from jaxdc.data.text import Documents, TextSource, TfIdf
from jaxdc.data.text.terms import terms_of
from jaxdc.describe.terms import class_terms

CHINESE = ["猫喜欢睡觉和牛奶", "小猫在沙发上睡觉", "股市因通货膨胀下跌", "银行提高利率股市下跌"]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("cats purr, a dog's_1 é2", ["cats", "purr", "dog", "s_1", "é2"]),
        ("小猫。猫", ["小", "猫", "小猫", "猫"]),
        ("JAXは速い", ["JAX", "は", "速", "い", "は速", "速い"]),
        ("แมว", ["แม", "มว", "แมว"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("ก", ["ก"]),
        ("", []),
    ],
)
def test_terms_are_words_or_neighbouring_characters(text, terms):
    assert terms_of(text) == terms


def test_chinese_texts_are_near_by_what_they_share(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(CHINESE * 3))
    source = open_source(str(tmp_path / "a.txt"))
    similar = source.array[:4] @ source.array[:4].T
    assert min(similar[0, 1], similar[2, 3]) > 2 * max(similar[0, 2], similar[1, 3])
    new = source.fitted.transform(["猫睡觉"]) @ source.array[:4].T
    assert new[0, :2].min() > new[0, 2:].max()
    assert "股市" in class_terms(source.texts, np.array([0, 0, 1, 1] * 3), 2)[1]


def test_texts_that_share_nearly_no_term_are_said():
    said = []
    texts = [f"word{i} other{i} third{i}" for i in range(20)]
    TextSource(Documents.of(texts), TfIdf(), say=said.append)
    assert said[0].startswith("100 % of the terms occur in one document alone")
    said.clear()
    TextSource(Documents.of([f"{text} common words" for text in np.repeat(texts, 2)]), TfIdf(), say=said.append)
    assert said == []
