"""Files of PyTorch's, without PyTorch: what they hold, and what they may not do."""

import collections
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from encoders import FOLDER

from jaxdc.errors import InputError
from jaxdc.nn.encoders.torch_file import MAGIC, read_torch_file


class _Global:
    """Stands in a pickle for a name of another module."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class _Pickler(pickle._Pickler):
    """Writes ``_Global`` as a name, and storages as PyTorch does."""

    def save_global_name(self, obj):
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())

    dispatch = pickle._Pickler.dispatch | {_Global: save_global_name}

    def persistent_id(self, obj):
        return obj[1] if isinstance(obj, tuple) and obj and obj[0] == "persistent" else None


class _Built:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments


def _save_built(pickler, obj):
    pickler.save(obj.function)
    pickler.save(obj.arguments)
    pickler.write(pickle.REDUCE)


_Pickler.dispatch[_Built] = _save_built


def dumped(obj):
    file = io.BytesIO()
    _Pickler(file, 2).dump(obj)
    return file.getvalue()


def tensor(key, size, stride, offset=0, count=6):
    storage = ("persistent", ("storage", _Global("torch", "FloatStorage"), key, "cpu", count, None))
    rebuild = _Global("torch._utils", "_rebuild_tensor_v2")
    return _Built(rebuild, storage, offset, size, stride, False, collections.OrderedDict())


def legacy(path, tensors, values):
    content = b"".join(map(dumped, (MAGIC, 1001, {"little_endian": True}, tensors, list(values))))
    for x in values.values():
        content += struct.pack("<q", len(x)) + np.asarray(x, "<f4").tobytes()
    path.write_bytes(content)
    return path


def archive(path, pickled, values=()):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickled)
        for key, x in dict(values).items():
            file.writestr(f"archive/data/{key}", np.asarray(x, "<f4").tobytes())
    return path


@pytest.mark.parametrize("how", ["legacy", "archive"])
def test_a_tensor_is_read_by_its_strides(tmp_path, how):
    tensors = {
        "rows": tensor("a", (2, 3), (3, 1)),
        "columns": tensor("a", (2, 3), (1, 2)),
        "two": tensor("a", (2,), (2,), 1),
    }
    values = {"a": np.arange(6)}
    path = tmp_path / "weights.pth"
    path = legacy(path, tensors, values) if how == "legacy" else archive(path, dumped(tensors), values)
    read = read_torch_file(path)
    np.testing.assert_array_equal(read["rows"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(read["columns"], [[0, 2, 4], [1, 3, 5]])
    np.testing.assert_array_equal(read["two"], [1, 3])


def test_both_formats_of_pytorch_itself():
    old, new = FOLDER / "efficientnet" / "weights.pth", FOLDER / "resnet_timm" / "resnet50.pth"
    assert not zipfile.is_zipfile(old) and zipfile.is_zipfile(new)
    assert read_torch_file(old)["_conv_stem.weight"].shape == (8, 3, 3, 3)
    assert read_torch_file(new)["conv1.weight"].shape == (2, 3, 7, 7)


@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("builtins", "eval"), ("torch", "load")])
def test_a_pickle_that_names_anything_else_is_refused_and_not_run(tmp_path, module, name, monkeypatch):
    called = []
    monkeypatch.setattr(os, "system", called.append)
    path = archive(tmp_path / "weights.pth", dumped({"x": _Built(_Global(module, name), "true")}))
    with pytest.raises(InputError, match=f"names {module}.{name}"):
        read_torch_file(path)
    assert called == []


def test_a_tensor_must_lie_within_its_storage(tmp_path):
    path = archive(tmp_path / "weights.pth", dumped({"x": tensor("a", (2, 4), (4, 1))}), {"a": np.arange(6)})
    with pytest.raises(InputError, match="outside of its storage"):
        read_torch_file(path)


def test_damaged_files_are_refused(tmp_path):
    whole = (FOLDER / "efficientnet" / "weights.pth").read_bytes()
    for i, content in enumerate((b"", b"text", pickle.dumps({"x": 1}), whole[: len(whole) // 2], whole[:2000])):
        path = tmp_path / f"{i}.pth"
        path.write_bytes(content)
        with pytest.raises(InputError, match="refused, or damaged"):
            read_torch_file(path)
