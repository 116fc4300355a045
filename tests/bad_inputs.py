"""A generator of bad inputs: whatever a disk, a network, another program or a person makes of good ones.

``cases(seed)`` is endless. Each case is made in an empty folder, and is a command that must end with code 0 or 2,
without a traceback, without a half-written folder, in bounded memory. ``python tests/bad_inputs.py SEED FIRST N``
runs some of them in this process, and prints a line of JSON for each that went wrong.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import itertools
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

SECONDS = 60  # for a case
GIB = 2**30
N = 48  # samples


class Case(NamedTuple):
    """A command and the files that it is given."""

    name: str
    arguments: list[str]


# Good files, by kind: each writes one and returns its path.


def _table(here: Path, rng) -> Path:
    rows = [",".join(f"{v:.3g}" for v in rng.normal(size=3)) + f",{'ab'[i % 2]}" for i in range(N)]
    (here / "x.csv").write_text("one,two,three,label\n" + "\n".join(rows) + "\n")
    return here / "x.csv"


def _parquet(here: Path, rng) -> Path:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"a": rng.normal(size=N), "b": rng.normal(size=N)}), here / "x.parquet")
    return here / "x.parquet"


def _npy(here: Path, rng) -> Path:
    dtype = rng.choice(["<f4", "<f8", "|u1", ">f8", "<i8", "<f2"])
    np.save(here / "x.npy", (rng.uniform(size=(N, 3)) * 200).astype(dtype))
    return here / "x.npy"


def _npz(here: Path, rng) -> Path:
    save = rng.choice([np.savez, np.savez_compressed])
    save(here / "x.npz", x=rng.normal(size=(N, 3)), y=rng.integers(2, size=N))
    return here / "x.npz"


def _views(here: Path, rng) -> Path:
    np.savez_compressed(here / "x.npz", a=rng.normal(size=(N, 3)), b=rng.normal(size=(N, 2)), gt=np.arange(N) % 2)
    return here / "x.npz"


def _mat(here: Path, rng) -> Path:
    import scipy.io

    content = {"a": rng.normal(size=(N, 3)), "b": rng.normal(size=(N, 2)), "gt": np.arange(N) % 2}
    scipy.io.savemat(here / "x.mat", content, do_compression=bool(rng.integers(2)))
    return here / "x.mat"


def _jpeg(rng, kind="JPEG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(rng.integers(256, size=(8, 8, 3), dtype=np.uint8)).save(file, kind)
    return file.getvalue()


def _encoded(here: Path, rng) -> Path:
    files = [_jpeg(rng, rng.choice(["JPEG", "PNG"])) for _ in range(N)]
    content = np.frombuffer(b"".join(files), np.uint8)
    offset = np.cumsum([0, *map(len, files)])
    np.savez(here / "x.npz", jpeg=content, offset=offset, label=np.arange(N) % 2)
    return here / "x.npz"


def _pictures(here: Path, rng) -> Path:
    for i in range(N):
        kind = rng.choice(["png", "jpg", "bmp", "gif", "tif", "webp", "ppm"])
        path = here / "x" / "ab"[i % 2] / f"{i}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(256, size=(8, 8, 3), dtype=np.uint8)).save(path)
    return here / "x"


def _words(rng) -> str:
    return " ".join(rng.choice(["cat", "dog", "paw", "bank", "loan", "bond", "naïve", "日本"], size=6))


def _lines(here: Path, rng) -> Path:
    (here / "x.txt").write_text("".join(f"{_words(rng)}\n" for _ in range(N)), encoding="utf-8")
    return here / "x.txt"


def _records(here: Path, rng) -> Path:
    rows = (json.dumps({"text": _words(rng), "label": i % 2}) for i in range(N))
    (here / "x.jsonl").write_text("\n".join(rows))
    return here / "x.jsonl"


def _text_table(here: Path, rng) -> Path:
    (here / "x.csv").write_text("text,label\n" + "".join(f'"{_words(rng)}",{i % 2}\n' for i in range(N)))
    return here / "x.csv"


def _zipped(here: Path, rng) -> Path:
    path = _lines(here, rng)
    packed = path.with_name("x.txt.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


def _log(here: Path, rng) -> Path:
    rows = (f"u{rng.integers(4)},d{rng.integers(9)},{1_700_000_000 + 30 * i}\n" for i in range(200))
    (here / "x.csv").write_text("user,document,time\n" + "".join(rows))
    return here / "x.csv"


FILES: dict[str, Callable[[Path, np.random.Generator], Path]] = {
    "table": _table,
    "parquet": _parquet,
    "npy": _npy,
    "npz": _npz,
    "views": _views,
    "mat": _mat,
    "encoded": _encoded,
    "pictures": _pictures,
    "lines": _lines,
    "records": _records,
    "text table": _text_table,
    "gzip": _zipped,
    "log": _log,
}


# What happens to a file.


def _flip(content: bytearray, rng) -> bytes:
    for _ in range(int(rng.choice([1, 1, 2, 20]))):
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    return bytes(content)


def _truncate(content: bytearray, rng) -> bytes:
    return bytes(content[: int(rng.integers(len(content)))])


def _garbage(content: bytearray, rng) -> bytes:
    at = int(rng.integers(len(content)))
    return bytes(content[:at]) + rng.bytes(int(rng.integers(1, 99))) + bytes(content[at:])


def _lost(content: bytearray, rng) -> bytes:
    at = int(rng.integers(len(content)))
    return bytes(content[:at] + content[at + int(rng.integers(1, 200)) :])


def _zeros(content: bytearray, rng) -> bytes:
    at, n = int(rng.integers(len(content))), int(rng.integers(1, 200))
    return bytes(content[:at] + bytes(n) + content[at + n :])


def _number(content: bytearray, rng) -> bytes:
    """Another number in place of one, in text or in binary."""
    odd = [b"1e999", b"-1", b"nan", b"9" * 5000, b"1_000", b"0x1F", b"=1+1", b"1000000000000", b"inf"]
    digits = [i for i, byte in enumerate(content) if 48 <= byte <= 57]
    if not digits:
        return _flip(content, rng)
    at = int(rng.choice(digits))
    return bytes(content[:at]) + odd[int(rng.integers(len(odd)))] + bytes(content[at + 1 :])


def _word(content: bytearray, rng) -> bytes:
    """Something between lines or fields that no reader likes."""
    odd = [b'"', b"\r", b"\0", b"\xff\xfe", b"[" * 10_000, b"{", b",,,,", b"\n\n", b"\xed\xa0\x80", b";", b"\t"]
    at = int(rng.integers(len(content)))
    return bytes(content[:at]) + odd[int(rng.integers(len(odd)))] + bytes(content[at:])


def _start(content: bytearray, rng) -> bytes:
    """The first bytes of something else."""
    odd = [b"\xef\xbb\xbf", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x1f\x8b\x08", b"PAR1", b"MATLAB", b"\xff\xd8"]
    return odd[int(rng.integers(len(odd)))] + bytes(content[int(rng.integers(2)) * 4 :])


DAMAGE = (_flip, _truncate, _garbage, _lost, _zeros, _number, _word, _start)


def _damaged(path: Path, rng) -> str:
    how = DAMAGE[int(rng.integers(len(DAMAGE)))]
    content = bytearray(path.read_bytes()) or bytearray(b"0")
    path.write_bytes(how(content, rng))
    return how.__name__


def _device(path: Path, rng) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _pipe(path: Path, rng) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path, rng) -> None:
    path.unlink()
    path.mkdir()


def _nothing(path: Path, rng) -> None:
    path.write_bytes(b"")


def _forbidden(path: Path, rng) -> None:
    path.chmod(0)


def _loop(path: Path, rng) -> None:
    path.unlink()
    path.symlink_to(path.name)


STRANGE = (_device, _pipe, _folder, _nothing, _forbidden, _loop)


def _bomb(here: Path, rng) -> Path:
    """Small files that are large."""
    kind = rng.choice(["npz", "gzip", "header", "picture", "encoded", "sparse", "mat", "parquet", "rows"])
    if kind == "npz":
        with (
            zipfile.ZipFile(here / "x.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("x.npy", "w", force_zip64=True) as member,
        ):
            header = {"descr": "<f4", "fortran_order": False, "shape": (2**18, 2**10)}
            np.lib.format.write_array_header_1_0(member, header)
            for _ in range(2**6):
                member.write(bytes(2**24))
        return here / "x.npz"
    if kind == "gzip":
        with gzip.open(here / "x.jsonl.gz", "wb", compresslevel=1) as file:
            for _ in range(40):
                file.write(b" " * 2**24)
        return here / "x.jsonl.gz"
    if kind == "header":
        path = _npy(here, rng)
        content = path.read_bytes()
        path.write_bytes(content.replace(b"(48, 3)", b"(%d, 3)" % 10 ** int(rng.integers(3, 15))))
        return path
    if kind in ("picture", "encoded"):
        file = io.BytesIO()
        Image.new(str(rng.choice(["L", "RGB", "RGBA"])), (12_000, 12_000)).save(file, "PNG", compress_level=1)
        if kind == "picture":
            path = _pictures(here, rng)
            (path / "a" / "0.png").write_bytes(file.getvalue())
            return path
        content = np.frombuffer(file.getvalue() * 3, np.uint8)
        np.savez(here / "x.npz", jpeg=content, offset=len(file.getvalue()) * np.arange(4))
        return here / "x.npz"
    if kind == "parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"a": np.zeros(10**8, np.int8)}), here / "x.parquet")
        return here / "x.parquet"
    if kind == "rows":
        (here / "x.csv").write_text("a,b\n" + "1,2\n" * 100 + "," * 10**6 + "\n")
        return here / "x.csv"
    import scipy.io
    import scipy.sparse

    if kind == "sparse":
        scipy.io.savemat(here / "x.mat", {"a": scipy.sparse.eye(2**20, format="csc")}, do_compression=True)
    else:
        scipy.io.savemat(here / "x.mat", {"a": np.zeros((2**13, 2**13))}, do_compression=True)
    return here / "x.mat"


SETTINGS = [
    "--n-clusters=0", "--n-clusters=-1", "--n-clusters=1000000000000", "--n-clusters=2.5", "--n-clusters=x",
    "--epochs=nan", "--epochs=-1", "--epochs=inf", "--epochs=1e300", "--batch-size=0", "--batch-size=-8",
    "--batch-size=999999999", "--learning-rate=nan", "--learning-rate=-1", "--learning-rate=inf", "--seed=-1",
    "--seed=99999999999999999999999", "--resident-gib=-1", "--resident-gib=nan", "--resident-gib=inf",
    "--image-size=0", "--image-size=-3", "--image-size=1000000", "--recipe=none", "--copies=-1", "--copies=2",
    "--split=test", "--split=+", "--views=9", "--views=,", "--label-column=nope", "--label-column=0",
    "--text-column=nope", "--init-from=nowhere", "--init-from=/dev/null", "--workdir=/dev/null/x",
    "--workdir=/proc/x", "--workdir=", "--workdir=" + "a" * 300, "--checkpoint-minutes=-1",
    "--checkpoint-minutes=nan", "--probe-epochs=0", "--probe-epochs=nan", "--encoder=/dev/zero", "--encoder=none",
    "--vectors=tokens", "--word-vectors=/dev/zero", "--n-terms=0", "--n-terms=-4", "--hidden=0", "--hidden=-1",
    "--nonsense", "--track=none", "--data-dir=/dev/null", "--no-such=1", "--distributed", "--standardize",
    "--skip-bad-images", "--skip-empty-texts", "--train-encoder", "--trained-blocks=3", "--max-tokens=0",
]  # fmt: skip


def _settings(here: Path, rng) -> Case:
    path = FILES[str(rng.choice([name for name in FILES if name != "log"]))](here, rng)
    chosen = [str(one) for one in rng.choice(SETTINGS, size=int(rng.integers(1, 4)), replace=False)]
    method = str(rng.choice(["kmeans", "kmeans", "dec", "simclr", "spectral", "sccl"]))
    return Case(f"{method} {path.name} {' '.join(chosen)}", _training(path, method=method) + chosen)


def _training(path: Path, method: str = "kmeans", *, whole: bool = False) -> list[str]:
    how = ["--workdir", str(path.parent / "run"), "--no-report", "--no-tensorboard"] if whole else ["--estimate"]
    return ["train", method, "--data", str(path), "--n-clusters", "2", *how]


def _data(here: Path, rng) -> Case:
    kind = str(rng.choice(list(FILES)))
    path = FILES[kind](here, rng)
    place = path
    if kind == "pictures":
        found = sorted(path.rglob("*.*"))
        place = found[int(rng.integers(len(found)))]
    if rng.random() < 0.85:
        how = _damaged(place, rng)
    else:
        strange = STRANGE[int(rng.integers(len(STRANGE)))]
        strange(place, rng)
        how = strange.__name__
    name = f"{kind}, {how}"
    if kind == "log":
        return Case(name, ["workspaces", str(path), "--workdir", str(here / "run"), "--epochs", "0.1"])
    arguments = _training(path, whole=rng.random() < 0.1)
    return Case(name, arguments + (["--skip-bad-images"] if rng.random() < 0.2 else []))


def _large(here: Path, rng) -> Case:
    path = _bomb(here, rng)
    return Case(f"bomb {path.name}", _training(path))


READS = (
    lambda run, data: ["predict", run, "--data", data, "--output", f"{run}.csv"],
    lambda run, data: ["evaluate", run, "--data", data],
    lambda run, data: ["report", run],
    lambda run, data: ["describe", run],
    lambda run, data: ["export", run, "--to", "csv"],
    lambda run, data: ["export", run, "--to", "npz"],
    lambda run, data: ["export", run, "--to", "folders"],
    lambda run, data: ["train", "kmeans", "--data", data, "--n-clusters", "2", "--workdir", run, "--no-report"],
    lambda run, data: [
        *("train", "kmeans", "--data", data, "--n-clusters", "2", "--workdir", run, "--no-report"),
        "--from-last-good",
    ],
    lambda run, data: ["train", "kmeans", "--data", data, "--n-clusters", "2", "--init-from", run, "--estimate"],
)


def _run(good: Path) -> Callable[[Path, np.random.Generator], Case]:
    """Damage to the folder ``good``, which holds a finished run and its data."""

    def case(here: Path, rng) -> Case:
        shutil.copytree(good, here, dirs_exist_ok=True)
        files = sorted(path for path in (here / "run").rglob("*") if path.is_file())
        path = files[int(rng.integers(len(files)))]
        if rng.random() < 0.5:  # the files that people look at, not Orbax's
            path = here / "run" / str(rng.choice([one.name for one in (here / "run").iterdir() if one.is_file()]))
        if rng.random() < 0.8:
            how = _damaged(path, rng)
        else:
            strange = STRANGE[int(rng.integers(len(STRANGE)))]
            strange(path, rng)
            how = strange.__name__
        if rng.random() < 0.3:  # as somebody would who wants it to be believed
            (here / "run" / "checksums.json").unlink(missing_ok=True)
        arguments = READS[int(rng.integers(len(READS)))](str(here / "run"), str(here / "x.npy"))
        return Case(f"run, {path.relative_to(here)}, {how}, {arguments[0]} {arguments[-1]}", arguments)

    return case


def good_run(folder: Path) -> Path:
    """A folder with a finished run and its data."""
    from jaxdc.cli import main

    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main(_training(folder / "x.npy", whole=True))
    return folder


def cases(seed: int, good: Path) -> Iterator[Callable[[Path], Case]]:
    """Endlessly many, each made by a call with an empty folder."""
    kinds = (_data, _data, _data, _run(good), _run(good), _settings, _large)
    for i in itertools.count():
        rng = np.random.default_rng((seed, i))
        yield functools.partial(kinds[i % len(kinds)], rng=rng)


def _tree(folder: Path) -> dict[str, int]:
    found = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {str(path.relative_to(folder)): path.lstat().st_size for path in found}


def _most_memory() -> int:
    """The most bytes that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fault_of(make: Callable[[Path], Case], here: Path) -> tuple[str, str | None]:
    """Runs a case in a folder; its name, and what is wrong with its end, or None."""
    from jaxdc.cli import main

    case = make(here)
    before, memory = _tree(here), _most_memory()
    said = io.StringIO()
    code: object = 0

    def late(*_: object) -> None:
        raise TimeoutError(f"longer than {SECONDS} s")

    old = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        with (
            contextlib.chdir(here),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            warnings.catch_warnings(),
        ):
            main(case.arguments)
    except SystemExit as error:
        code = error.code
    except BaseException:
        return case.name, traceback.format_exc()[-1500:]
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
    text, after = said.getvalue(), _tree(here)
    left = [name for name in after if "partial" in name or "removed" in name]
    if code not in (0, None, 2):
        return case.name, f"code {code}: {text[-500:]}"
    if "Traceback" in text or "Warning" in text:
        return case.name, f"it says: {text[-800:]}"
    if left:
        return case.name, f"it left {left}"
    lasting = {name for name in after if not name.endswith(".lock") and not name.startswith("embeddings/")}
    if code == 2 and lasting != set(before) and "--from-last-good" not in case.arguments:
        return case.name, f"refused, and yet it changed {sorted(lasting ^ set(before))[:5]}: {text[-300:]}"
    if _most_memory() - memory > 2 * GIB:
        return case.name, f"{(_most_memory() - memory) / GIB:.1f} GiB more than before"
    return case.name, None


def faults(seed: int, first: int, n: int, top: Path) -> Iterator[tuple[int, str, str]]:
    """The faults of ``n`` cases: number, name, what is wrong."""
    (top / "good").mkdir()
    good = good_run(top / "good")
    for i, make in enumerate(itertools.islice(cases(seed, good), first, first + n), first):
        here = top / f"case{i}"
        here.mkdir()
        name, wrong = fault_of(make, here)
        if wrong is not None:
            yield i, name, wrong
        shutil.rmtree(here)


if __name__ == "__main__":
    seed, first, n = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as made:
        for fault in faults(seed, first, n, Path(made)):
            print(json.dumps(fault), flush=True)
