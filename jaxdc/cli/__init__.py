"""The ``jaxdc`` command, with a module for each subcommand. Thin: the work is done in the library."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import warnings
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from jaxdc.distributed import watch
from jaxdc.errors import InputError
from jaxdc.version import __version__

COMMANDS = (
    "train",
    "predict",
    "evaluate",
    "report",
    "describe",
    "export",
    "edit",
    "duplicates",
    "sample",
    "probe",
    "run",
    "choose-k",
    "embed",
    "workspaces",
    "list",
)
USAGE = """usage: jaxdc COMMAND ...

  train METHOD --data DATA           cluster a data set
  predict WORKDIR --data DATA        assign new samples to the clusters of a run
  evaluate WORKDIR --data DATA       ACC, NMI and ARI of a run on labelled data
  report WORKDIR                     all of a run on one page, to look at
  describe WORKDIR                   what each cluster is about: sizes, key terms, members
  export WORKDIR --to folders        pictures in a folder a cluster, or a table: csv, parquet, npz
  edit WORKDIR --merge 3 7            merge, divide, rename or drop clusters; reject outliers; undo
  duplicates WORKDIR                 equal and nearly equal pictures or texts
  sample WORKDIR --cluster 3         new samples of a cluster, by a method that can draw them (vade)
  probe WORKDIR --data DATA          accuracy of a linear and a kNN classifier of a run's features
  run experiments/FILE.py --on DATA  run rows of a published table over their seeds
  choose-k --data DATA               how many clusters there may be
  embed --data DATA --encoder DIR    vectors of images by a pretrained encoder, as a file
  workspaces LOG                     which documents people use together, from a log of their accesses
  list                               the methods and the data sets

DATA is digits, a TensorFlow Datasets name (mnist, cifar10, ...), a .npy, .npz, .csv or .mat file,
a .txt, .jsonl or .csv file of texts, or a folder of images or texts. Run jaxdc COMMAND --help for
the options of a command, and jaxdc train METHOD --help for the hyper-parameters of a method.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``jaxdc``."""
    arguments = sys.argv[1:] if arguments is None else arguments
    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return
    if arguments[0] == "--version":
        print(f"jaxdc {__version__}")
        return
    for module in ("PIL", "numpy", "scipy"):  # their advice on a file, above the sentence that says what is wrong
        warnings.filterwarnings("ignore", module=rf"{module}\.")
    try:
        command, *rest = arguments
        if command not in COMMANDS:
            near = difflib.get_close_matches(command, COMMANDS, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(COMMANDS)}"
            raise InputError(f"unknown command {command!r}; {hint}")
        # A command's dependencies load with its module, so that --help and the light commands start at once.
        importlib.import_module(f"jaxdc.cli.{command.replace('-', '_')}").main(rest, console)
    except InputError as error:
        _refuse(str(error), console)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        from jaxdc.writing import disk_is_full

        if disk_is_full(error):
            _refuse("the disk is full; free some space and run the same command again to resume", console)
        if error.filename is None:
            raise
        _refuse(f"{error.filename}: {error.strerror}", console)
    except KeyboardInterrupt:
        watch.end_all(130, "stopped")
        console.print("stopped")
        raise SystemExit(130) from None
    except Exception as error:
        watch.fail_all(error)
        raise


def _refuse(sentence: str, console: Console) -> None:
    watch.end_all(2, sentence)
    console.print(Text.assemble(("error: ", "red"), sentence))
    raise SystemExit(2) from None
