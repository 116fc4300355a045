"""How a benchmark talks with its workers: processes that hold a training and run what they are asked to.

Questions and answers are lines of JSON, so that a worker may live in another environment. Imports nothing but
Python's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys


class WorkerDied(RuntimeError):
    """A worker's process has ended; its traceback is on stderr."""


class Worker:
    """A process that answers, from its start to the end of the ``with`` block.

    Args:
      name: for messages.
      command: what to run; the settings follow as its last argument.
      settings: settings of the training.
    """

    def __init__(self, name, command, settings):
        self.name = name
        self._process = subprocess.Popen(
            [*map(str, command), json.dumps(settings)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def ask(self, question, *arguments):
        """The answer of the worker's method of that name."""
        try:
            self._process.stdin.write(json.dumps([question, arguments]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerDied(f"{self.name} ended before it answered {question!r}")
        return json.loads(line)


def serve(make):
    """The worker's side: builds the training from the last argument and answers until nobody asks."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not pass for an answer
    training = make(**json.loads(sys.argv[-1]))
    for line in sys.stdin:
        question, arguments = json.loads(line)
        print(json.dumps(getattr(training, question)(*arguments)), file=answers, flush=True)
