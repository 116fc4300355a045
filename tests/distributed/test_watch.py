"""The connections between processes: garbage from strangers is survived, a lost process is noticed."""

import contextlib
import json
import queue
import socket
import time
from pathlib import Path

import pytest

import jaxdc
from jaxdc.distributed import lines, watch

TOKEN = "0123456789abcdef"
GARBAGE = [
    b"5\n",
    b"[1]\n",
    b"null\n",
    '{"token": "é"}\n'.encode(),
    b'{"token": 5, "index": 1}\n',
    b'{"token": "\xff"}\n',
    b"[" * 100_000 + b"\n",
    b"[" * 10_000 + b"\n",
    b"1" * 6_000 + b"\n",
    b"\n\n\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"x" * (lines.MOST_BYTES + 5_000),
    b"",
    json.dumps({"token": TOKEN}).encode() + b"\n",
    json.dumps({"token": TOKEN, "index": 7}).encode() + b"\n",
    json.dumps({"token": TOKEN, "index": "1"}).encode() + b"\n",
    json.dumps({"end": 0}).encode() + b"\n",
]


@pytest.fixture
def process_0(monkeypatch):
    """The watch of process 0 of 3, and the sentences with which it would end the process."""
    ended: queue.Queue = queue.Queue()
    monkeypatch.setattr(watch, "end_this", lambda code, sentence: ended.put((code, sentence)))
    server = socket.create_server(("127.0.0.1", 0))
    made = watch._Watch(0, 3, TOKEN, server=server)
    yield server.getsockname(), ended, made
    made._parted |= {1, 2}  # whose connections end with the test


def joined(address, index):
    peer = socket.create_connection(address)
    peer.sendall(json.dumps({"token": TOKEN, "index": index}).encode() + b"\n")
    return peer


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_garbage_is_survived_and_a_lost_process_noticed(process_0, monkeypatch):
    address, ended, made = process_0
    strangers = []
    for content in GARBAGE:
        stranger = socket.create_connection(address)
        strangers.append(stranger)
        with contextlib.suppress(OSError):  # it may be ended while we are sending
            stranger.sendall(content)
    silent = [socket.create_connection(address) for _ in range(watch.MOST_STRANGERS + 9)]
    peer, other = joined(address, 1), joined(address, 2)
    until(lambda: set(made._peers.values()) == {1, 2})
    assert len(made._strangers) <= watch.MOST_STRANGERS
    assert ended.empty()
    other.sendall(b'{"part": true}\n')
    until(lambda: made._parted == {2})
    other.close()  # that it goes is no loss
    peer.close()
    assert ended.get(timeout=10) == (
        1,
        "process 1 of 3 was lost: it was killed, ran out of memory, or its machine failed; run the same command "
        "on every host to resume from where it was",
    )
    for stranger in (*strangers, *silent):
        stranger.close()


def test_who_does_not_introduce_himself_is_dismissed(process_0, monkeypatch):
    address, _, made = process_0
    monkeypatch.setattr(watch, "HELLO_SECONDS", 0.1)
    slow = socket.create_connection(address)
    slow.sendall(b'{"tok')
    until(lambda: made._strangers)
    until(lambda: not made._strangers)
    slow.settimeout(5)
    assert slow.recv(1) == b""


def test_a_sentence_of_another_process_ends_this_one(process_0):
    address, ended, _ = process_0
    peer = joined(address, 2)
    peer.sendall(b'{"end": 2, "sentence": "no fi')
    time.sleep(0.05)
    peer.sendall(b'le x"}\n')
    assert ended.get(timeout=10) == (2, "no file x (reported by process 2)")
    assert peer.recv(99) == b'{"end": 2}\n'


@pytest.mark.parametrize("coordinator", ["127.0.0.1:5", "localhost:5", None])
def test_one_address_alone_is_opened(coordinator):
    address = watch.address_of(coordinator)
    assert address not in ("", "0.0.0.0", "::")
    if coordinator is not None:
        assert address in ("127.0.0.1", "::1")


def test_no_private_part_of_jax_is_used():
    package = Path(jaxdc.__file__).parent
    assert [path for path in package.rglob("*.py") if "jax._src" in path.read_text()] == []
