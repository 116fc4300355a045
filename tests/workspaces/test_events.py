import gzip
import json

import numpy as np
import pytest

from jaxdc.errors import InputError
from jaxdc.workspaces import Events, read_events, read_labels, read_texts, texts_in_order


def written(folder, text, name="log.csv"):
    path = folder / name
    path.write_text(text)
    return path


def test_dates_are_seconds_and_documents_are_numbered_as_they_come(tmp_path):
    path = written(
        tmp_path,
        "time,user,document,size\n2024-03-01T09:30:00Z,ann,plan,3\n2024-03-01T10:30:00+01:00,bob,b,\n"
        '2024-03-01 09:31,ann,"b",1\n',
    )
    events = read_events(path)
    assert events.names == ["plan", "b"]
    assert events.users.tolist() == [0, 1, 0]
    assert events.documents.tolist() == [0, 1, 1]
    np.testing.assert_array_equal(events.times, [1709285400.0, 1709285400.0, 1709285460.0])


def test_records_columns_of_other_names_and_seconds(tmp_path):
    path = tmp_path / "log.jsonl.gz"
    records = [{"who": 7, "file": "a", "at": 12.5}, {"who": 7, "file": 3, "at": "13"}]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, records)).encode()))
    events = read_events(path, user="who", document="file", time="at")
    assert events.names == ["a", "3"]
    assert events.times.tolist() == [12.5, 13.0]


HEAD = "user,document,time\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no accesses"),
        (HEAD, "has no accesses"),
        ("user,file,time\na,b,1\n", "no column 'document'; its columns are 'user', 'file', 'time'"),
        (HEAD + "a,b,2024-03-01\na,b,2024-02-31\n", "'2024-02-31' in record 2, column 'time'"),
        (HEAD + "a,b,1\na,b,yesterday\n", "'yesterday' in record 2, column 'time'"),
        (HEAD + "a,b,nan\n", "'nan' in record 1"),
        (HEAD + "a,b,5\na,,6\n", "no value in record 2, column 'document'"),
        (HEAD + "a,b\n", "2 values in record 2, but 3 columns"),
        (HEAD + "a,b,1709285400000\n", "divide milliseconds by 1000"),
    ],
)
def test_what_is_wrong_with_a_log_is_said(tmp_path, text, sentence):
    with pytest.raises(InputError, match=r"log\.csv") as error:
        read_events(written(tmp_path, text))
    assert sentence in str(error.value)


def test_files_of_other_kinds_and_encodings_are_named(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(HEAD.encode() + "a,\xe4,1\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"log\.csv is not UTF-8: byte 0xe4 in line 2"):
        read_events(path)
    with pytest.raises(InputError, match=r"log\.txt must be a .csv or .jsonl file"):
        read_events(written(tmp_path, "", "log.txt"))
    with pytest.raises(InputError, match=r"none\.csv can't be read"):
        read_events(tmp_path / "none.csv")
    with pytest.raises(InputError, match="but must have a text or a number"):
        read_events(written(tmp_path, '{"user": [1], "document": "a", "time": 1}', "log.jsonl"))
    with pytest.raises(InputError, match="can't be written as text"):
        read_events(written(tmp_path, '{"user": 1, "document": "\\ud800", "time": 1}', "log.jsonl"))


def test_texts_and_labels(tmp_path):
    path = written(tmp_path, "document,Title,team\na,about cats,x\nb,,\n", "docs.csv")
    read = read_texts(path, labels="team")
    assert read.texts == {"a": "about cats", "b": ""}
    assert read.labels == {"a": "x"}
    assert read_texts(path).labels is None
    assert read_texts(path, text="team").texts == {"a": "x", "b": ""}
    assert read_labels(written(tmp_path, "document,workspace,confidence\na,3,1\nb,,1\n", "known.csv")) == {
        "a": "3"
    }
    for arguments, sentence in (
        ({"labels": "group"}, "no column 'group'; its columns are 'document', 'Title', 'team'"),
        ({"document": "file"}, "no column 'file'"),
    ):
        with pytest.raises(InputError, match=sentence):
            read_texts(path, **arguments)
    with pytest.raises(InputError, match="no column of texts"):
        read_texts(written(tmp_path, "document,team\na,x\n", "docs.csv"))
    with pytest.raises(InputError, match="'a' twice, the second time in record 2"):
        read_texts(written(tmp_path, "document,text\na,x\na,y\n", "docs.csv"))
    with pytest.raises(InputError, match="has no documents"):
        read_texts(written(tmp_path, "document,text\n", "docs.csv"))
    with pytest.raises(InputError, match="no column workspace or label"):
        read_labels(written(tmp_path, "document,team\na,x\n", "known.csv"))
    with pytest.raises(InputError, match="has no labels"):
        read_labels(written(tmp_path, "document,label\na,\n", "known.csv"))


EVENTS = Events.of([("u", "a", 0.0), ("u", "b", 1.0), ("u", "c", 2.0)], "log.csv")


def test_log_and_texts_of_other_documents():
    everything = {"c": "C", "a": "A", "b": "B"}
    assert texts_in_order(EVENTS, everything) == ["A", "B", "C"]
    with pytest.raises(
        InputError, match=r"1 documents of docs.csv are not in log.csv; the first is 'd': .*--skip-un"
    ):
        texts_in_order(EVENTS, {**everything, "d": "D"}, "docs.csv")
    with pytest.raises(InputError, match=r"2 documents of log.csv are not in docs.csv; the first is 'b'"):
        texts_in_order(EVENTS, {"a": "A"}, "docs.csv")
    said = []
    texts = texts_in_order(EVENTS, {"a": "A", "d": "D"}, "docs.csv", skip_unmatched=True, say=said.append)
    assert texts == ["A", "", ""]
    assert [line.split(": ")[-1] for line in said] == ["they are skipped", "only the log is used for them"]
    with pytest.raises(InputError, match="no document in common: the first has 'a', the second 'x'"):
        texts_in_order(EVENTS, {"x": "X"}, skip_unmatched=True)
