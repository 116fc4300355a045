import csv
import gzip
import json

import pytest

from jaxdc.data import open_source
from jaxdc.data.text import Documents, holds_texts, read_documents
from jaxdc.errors import InputError

TEXTS = ["the cat sat on the mat", "dogs chase cats", 'stocks fell, said "Reuters"', "bonds and shares rose"]
LABELS = ["pets", "pets", "money", "money"]


def write_jsonl(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def files(tmp_path):
    """The same documents in each form."""
    (tmp_path / "a.txt").write_text("\n".join(TEXTS) + "\n\n")
    write_jsonl(tmp_path / "a.jsonl", [{"text": t, "label": c} for t, c in zip(TEXTS, LABELS, strict=True)])
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    with (tmp_path / "a.csv").open("w", newline="") as file:
        rows = [("id", "Text", "label"), *((i, t, c) for i, (t, c) in enumerate(zip(TEXTS, LABELS, strict=True)))]
        csv.writer(file).writerows(rows)
    for i, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True)):
        folder = tmp_path / "folder" / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.txt").write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.jsonl.gz", "a.csv", "folder"])
def test_every_form_holds_the_same_documents(files, name):
    documents = read_documents(files / name)
    assert holds_texts(files / name)
    assert sorted(documents.texts) == sorted(TEXTS)
    if name == "a.txt":
        assert documents.labels is None
    else:
        assert documents.labels is not None
        assert dict(zip(documents.texts, documents.labels, strict=True)) == dict(zip(TEXTS, LABELS, strict=True))
    if name == "folder":
        assert [str(files / "folder" / "money" / "2.txt")] == list(documents.sample_names[:1])


def test_a_column_by_name(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"Title": "short", "abstract": "long", "note": "own"}] * 2)
    assert list(read_documents(path).texts) == ["long"] * 2
    assert list(read_documents(path, column="note").texts) == ["own"] * 2


def test_no_such_column_lists_those_there_are(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"words": "a", "n": 1}])
    with pytest.raises(InputError, match=r"no column of texts; its columns are 'words', 'n': select one"):
        read_documents(path)
    with pytest.raises(InputError, match=r"no column 'body'; its columns are 'words', 'n'"):
        read_documents(path, column="body")
    path = write_jsonl(tmp_path / "b.jsonl", [{"text": "a"}, {"words": "b"}])
    with pytest.raises(InputError, match="no column 'text' in record 2"):
        read_documents(path)


def test_a_text_that_is_none(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "a"}, {"text": 3}])
    with pytest.raises(InputError, match="3 in record 2, column 'text', but must have a text"):
        read_documents(path)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "folder"])
def test_a_file_that_is_not_utf8_is_named(files, name):
    path = files / name / "money" / "3.txt" if name == "folder" else files / name
    path.write_bytes(path.read_bytes().replace(b"cats", "Kätzchen".encode("latin-1")).replace(b"rose", b"\xe4"))
    with pytest.raises(InputError, match=rf"{path.name} is not UTF-8: byte 0xe4 in line \d"):
        read_documents(files / name)


def test_a_byte_order_mark_is_no_letter(tmp_path):
    (tmp_path / "a.csv").write_bytes("﻿text,label\nä,1\nö,2\n".encode())
    assert list(read_documents(tmp_path / "a.csv").texts) == ["ä", "ö"]


@pytest.mark.parametrize("blank", ["", "   ", None])
def test_an_empty_document(tmp_path, blank, capsys):
    path = write_jsonl(
        tmp_path / "a.jsonl", [{"text": t, "label": i} for i, t in enumerate(["a", blank, "c", blank])]
    )
    with pytest.raises(InputError, match=r"document 2 of .*a.jsonl is empty, and 1 more; .*--skip-empty-texts"):
        read_documents(path)
    said = []
    documents = read_documents(path, skip_empty=True, say=said.append)
    assert list(documents.texts) == ["a", "c"]
    assert documents.sample_names == ["0", "2"]
    assert documents.labels.tolist() == [0, 2]
    assert said == [f"skipped 2 empty documents of 4; the first is document 2 of {path}"]


def test_nothing_but_empty_documents(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n  \n")
    with pytest.raises(InputError, match="has no documents"):
        read_documents(tmp_path / "a.txt")
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": ""}] * 3)
    with pytest.raises(InputError, match="all 3 documents of .* are empty"):
        read_documents(path, skip_empty=True)
    with pytest.raises(InputError, match="has no documents"):
        read_documents(write_jsonl(tmp_path / "b.jsonl", []))


def test_broken_records(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": \n')
    with pytest.raises(InputError, match=r"line 2 of .*a.jsonl has invalid JSON"):
        read_documents(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_text('["a"]\n')
    with pytest.raises(InputError, match=r"has '\[\"a\"\]' in line 1, but must have an object"):
        read_documents(tmp_path / "a.jsonl")
    (tmp_path / "a.csv").write_text("text,label\na,1\nb\n")
    with pytest.raises(InputError, match="1 values in record 3, but 2 columns"):
        read_documents(tmp_path / "a.csv")
    (tmp_path / "a.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match="can't be read"):
        read_documents(tmp_path / "a.jsonl.gz")


def test_labels_of_some_documents_alone_score_nothing(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "a", "label": 1}, {"text": "b"}])
    said = []
    assert read_documents(path, say=said.append).labels is None
    assert said == [f"1 of the 2 documents of {path} have no label, so no scores are computed"]


def test_splits_that_records_name(tmp_path):
    records = [
        {"text": "a", "label": 0, "split": "train"},
        {"text": "b", "label": 1, "split": "test"},
        {"text": "c", "label": 1, "split": "train"},
    ]
    path = write_jsonl(tmp_path / "a.jsonl", records)
    documents = read_documents(path, split="train")
    assert (list(documents.texts), documents.labels.tolist()) == (["a", "c"], [0, 1])
    assert documents.sample_names == ["0", "2"]
    assert documents.protocol == "2 documents of split train"
    assert read_documents(path, split="train+test").protocol == read_documents(path).protocol == "all 3 documents"
    with pytest.raises(InputError, match="no split 'dev'; it has 'train', 'test'"):
        read_documents(path, split="dev")
    (tmp_path / "a.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match=r"a\.txt has none: .* records with a column split"):
        read_documents(tmp_path / "a.txt", split="train")


def test_which_paths_hold_texts(files, tmp_path):
    (tmp_path / "numbers.csv").write_text("a,b\n1,2\n3,4\n")
    assert not holds_texts(tmp_path / "numbers.csv")
    assert holds_texts(tmp_path / "numbers.csv", column="a")
    assert open_source(str(tmp_path / "numbers.csv")).texts is None
    with pytest.raises(InputError, match="--text-column words needs texts, but"):
        open_source("digits", text_column="words")


def test_a_folder_of_pictures_may_hold_a_note(tmp_path):
    from PIL import Image

    for i in range(3):
        Image.new("L", (8, 8), i).save(tmp_path / f"{i}.png")
    (tmp_path / "README.txt").write_text("three grey squares")
    assert open_source(str(tmp_path)).shape == (8, 8, 1)


def test_a_list_of_texts():
    with pytest.raises(InputError, match="document 2 of the list is empty"):
        Documents.of(["a", " "])
    with pytest.raises(InputError, match=r"2 samples but labels of shape \(3,\)"):
        Documents.of(["a", "b"], [1, 2, 3])
