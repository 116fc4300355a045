"""The queue of ``on_a_gpu.sh``: jobs in their order, each bounded, resumable, and skipped once it is finished."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
PLACES = ("cifar10_jpeg.npz", "data/cifar10_jpeg.npz", "../shared/data/cifar10_jpeg.npz")
GRACE = 20.0  # seconds between a polite stop, which leaves a checkpoint, and a kill
LEAST = 45.0  # seconds below which no job is worth starting: the imports and the compilation take as long
TINY_RUN = "--epochs 1 --pretrain-epochs 1 --batch-size 40"
TINY_RUN += " --set backbone.depth=10 backbone.width=2 backbone.dtype=float32"
TINY_STEP = "--network resnet10 --width 2 --image-size 16 --batch 16 --samples 64 --dtype float32 --steps 1"
CONV_FUSION = {"XLA_FLAGS": "--xla_gpu_experimental_enable_conv_fusion=true"}
COMMAND_BUFFER = {"XLA_FLAGS": "--xla_gpu_enable_command_buffer=+WHILE"}  # the loop of steps becomes one graph
EXACT = {"JAX_DEFAULT_MATMUL_PRECISION": "highest"}  # products in TF32 would miss the tolerances of the tests


@dataclasses.dataclass(frozen=True)
class Job:
    """A command of the queue.

    Attributes:
      name: by which it is selected.
      seconds: it gets at most; one that is stopped goes on at the next call.
      command: arguments of the Python with jaxdc; ``{output}`` is its JSON file.
      tiny: further arguments that make it short enough for a test.
      environment: variables that it gets besides.
    """

    name: str
    seconds: float
    command: str
    tiny: str = ""
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    row: str = ""

    def arguments(self, *, tiny: bool) -> list[str]:
        """What the Python with jaxdc is given."""
        row = ["--rows", self.row] if self.row else []
        return [*shlex.split(self.command), *row, *(self.tiny.split() if tiny else ())]


def accuracy_jobs(data: Path, state: Path, seed: int) -> list[Job]:
    """Rows of the CIFAR-10 experiments: of every file that has such a table."""
    rows = (
        ("cc", "cc", "batch 512"),
        ("simclr", "scan", "SimCLR + k-means"),
        ("scan", "scan", "clustering"),
        ("selflabel", "scan", "self-labelling"),
        ("idfd", "idfd", "IDFD"),
        ("moco", "moco", "MoCo"),
        ("pcl", "pcl", "PCL"),
        ("deepcluster", "deepcluster", "100 pseudo-clusters"),
        ("sela", "sela", "heads of 10"),
        ("sela_128", "sela", "heads of 128"),
        ("rotnet", "rotnet", "RotNet + k-means"),
        ("rotnet_scan", "rotnet", "clustering"),
        ("cc_batch256", "cc", "batch 256"),
        ("idfo", "idfd", "IDFO"),
        ("id", "idfd", "ID"),
        ("propos", "propos", "ProPos"),
        ("byol", "byol", "BYOL"),
        ("swav", "swav", "SwAV"),
        ("local_agg", "local_agg", "Local Aggregation"),
        ("deepcluster_v2", "deepcluster_v2", "100 pseudo-clusters"),
        # By the published ACC, the highest first.
        ("ruc", "ruc", "RUC after SCAN"),
        ("mice", "mice", "MiCE"),
        ("tsuc", "tsuc", "TSUC"),
        ("pica", "pica", "PICA"),
        ("dccm", "dccm", "DCCM"),
        ("iic", "iic", "IIC"),
        ("dac", "dac", "DAC"),
        ("adc", "adc", "ADC"),
        ("jule", "jule", "JULE"),
    )
    kept = f"--seeds {seed} --workdir {shlex.quote(str(state / 'runs'))} --checkpoint-minutes 2"
    run = "-m jaxdc run experiments/{}.py --on cifar10 --data {} {} --output {{output}}"
    suffix = f"_seed{seed}" if seed else ""
    return [
        Job(name + suffix, 900, run.format(file, shlex.quote(str(data)), kept), TINY_RUN, row=row)
        for name, file, row in rows
    ]


def profile_jobs(state: Path) -> list[Job]:
    """The SimCLR step by its kernels: as it is, and with flags of XLA that jaxdc does not set."""
    command = "benchmarks/profile_step.py --output {output} --trace " + shlex.quote(str(state / "traces"))
    return [
        Job("profile", 120, f"{command}/plain", TINY_STEP),
        Job("profile_conv_fusion", 180, f"{command}/conv_fusion", TINY_STEP, CONV_FUSION),
        Job("profile_command_buffer", 180, f"{command}/command_buffer", TINY_STEP, COMMAND_BUFFER),
    ]


def throughput_jobs(peer: str) -> list[Job]:
    """Images a second and what goes with it; first what has no row yet."""
    torch = f"--peer {shlex.quote(peer)}" if has_torch(peer) else ""
    train = "benchmarks/train_throughput.py --steps 97 --output {output}"  # an epoch, as in training
    against = f"{train} {torch} --compile" if torch else train
    resnet50 = f"{against} --methods simclr --network resnet50 --image-size 224 --batch 64 --steps 20"
    short = f"{TINY_STEP} --rounds 1"
    few = (
        "--methods selflabel --n-samples 256 --depth 10 --width 2 --dtype float32 --batch 16 --steps 1 --rounds 1"
    )
    tests = "tests/nn/test_resnet.py tests/nn/test_norm.py tests/losses/test_contrastive.py"
    tests += " tests/losses/test_instance.py tests/augment"
    return [
        Job("throughput_idfd", 120, f"{against} --methods idfd", short),
        Job("resnet50", 150, resnet50, short),
        Job("stream", 60, f"{train} --methods simclr --input stream", short),
        Job("resnet18", 230, f"{against} --methods simclr cc moco", f"{short} --methods moco"),
        Job("augment", 60, "benchmarks/augment.py --output {output}", "--batch 4 --size 16 --repeats 1"),
        Job("losses", 60, f"benchmarks/losses.py {torch} --output {{output}}", "--shrink 64"),
        Job(
            "clustering",
            60,
            "benchmarks/clustering.py --only mixture neighbors --output {output}",
            "--n-samples 500 --repeats 1",
        ),
        Job(
            "tests",
            120,
            f"-m pytest -q -n 0 {tests} -k 'not global_batch and not several_devices'",
            "-k decorrelation_by_hand",
            EXACT,
        ),
        Job("slow_clock", 180, "benchmarks/slow_clock.py --dtype bfloat16 --output {output}", few),
    ]


def has_torch(python: str) -> bool:
    """Whether PyTorch can be imported there."""
    return subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode == 0


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/on_a_gpu.sh", description=__doc__)
    parser.add_argument("names", nargs="*", help="jobs to run; by default all, in their order")
    parser.add_argument("--list", action="store_true", help="print the jobs and which are finished, and end")
    parser.add_argument("--minutes", type=float, help="stop in time, so that this is not exceeded")
    parser.add_argument("--data", type=Path, help="cifar10_jpeg.npz; by default looked for here and in data/")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2), help="the first one before all others")
    parser.add_argument("--state", type=Path, default=Path("runs/gpu"), help="runs, checkpoints, finished jobs")
    parser.add_argument("--tiny", action="store_true", help="networks and lengths that a test can afford")
    return parser.parse_args(arguments)


class Queue:
    """Runs jobs and remembers in a folder which are finished."""

    def __init__(self, state: Path, out: Path, *, minutes: float | None, tiny: bool):
        self.state, self.out, self.tiny = state, out, tiny
        self.deadline = None if minutes is None else time.monotonic() + 60 * minutes

    def make_folders(self) -> None:
        """Those that jobs write to; a list needs none."""
        for folder in (*(self.state / name for name in ("finished", "results", "logs", "runs")), self.out):
            folder.mkdir(parents=True, exist_ok=True)

    def arguments(self, job: Job) -> list[str]:
        """Those of the job, at the size of this queue."""
        return job.arguments(tiny=self.tiny)

    def is_finished(self, job: Job) -> bool:
        """Whether this very command came to its end."""
        mark = self.state / "finished" / f"{job.name}.json"
        return mark.is_file() and json.loads(mark.read_text())["command"] == self.arguments(job)

    def time_left(self) -> float:
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    def run(self, job: Job) -> str:
        """What became of the job: finished, stopped, or failed with its exit status."""
        limit = min(job.seconds, self.time_left() - GRACE)
        output, log = self.state / "results" / f"{job.name}.json", self.state / "logs" / f"{job.name}.txt"
        command = [sys.executable, *(str(output) if part == "{output}" else part for part in self.arguments(job))]
        flags = " ".join(filter(None, (os.environ.get("XLA_FLAGS"), job.environment.get("XLA_FLAGS"))))
        environment = {**os.environ, **job.environment, "PYTHONPATH": str(ROOT)}
        environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(self.state.absolute() / "compiled"))
        if flags:
            environment["XLA_FLAGS"] = flags
        began = time.monotonic()
        with log.open("a") as file:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True
            )
            code = wait(process, limit)
        seconds = time.monotonic() - began
        if code == 0:
            mark = {"command": self.arguments(job), "seconds": round(seconds, 1)}
            (self.state / "finished" / f"{job.name}.json").write_text(json.dumps(mark) + "\n")
        self.copy()
        if code is None:
            return f"stopped after {seconds:.0f} s"
        return f"finished in {seconds:.0f} s" if code == 0 else f"failed with exit status {code}: {log}"

    def copy(self) -> None:
        """Puts figures and what was printed where the caller looks for them."""
        for kind in ("results", "logs"):
            for path in (self.state / kind).iterdir():
                shutil.copy2(path, self.out / path.name)


def wait(process: subprocess.Popen, seconds: float) -> int | None:
    """The exit status; None if it had to be stopped, politely first."""
    try:
        return process.wait(timeout=None if seconds == float("inf") else max(seconds, 0.0))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return None


def scores_of(path: Path) -> str:
    """ACC, NMI and ARI of an accuracy job, if this is one and it is finished."""
    if not path.is_file():
        return ""
    rows = json.loads(path.read_text()).get("rows", {})
    runs = [run for row in rows.values() for run in row["runs"]] if isinstance(rows, dict) else []
    return "; ".join("{acc:.4f} / {nmi:.4f} / {ari:.4f}".format(**run) for run in runs)


def main() -> int:
    options = parse()
    console = Console(width=120, highlight=False, soft_wrap=True)
    queue = Queue(
        options.state,
        Path(os.environ.get("OUT", "benchmarks/results/gpu")),
        minutes=options.minutes,
        tiny=options.tiny,
    )
    found = [path for path in map(Path, PLACES) if (ROOT / path).is_file()]
    data = options.data or (found[0] if found else Path(PLACES[0]))
    of_seed = {seed: accuracy_jobs(data, options.state, seed) for seed in options.seeds}
    first = of_seed.pop(options.seeds[0])
    jobs = [*first[:4], *profile_jobs(options.state), *first[4:]]
    jobs += throughput_jobs(os.environ.get("PEER", sys.executable))
    jobs += [job for others in of_seed.values() for job in others]
    unknown = [name for name in options.names if name not in {job.name for job in jobs}]
    if unknown:
        console.print(f"there is no job {unknown[0]}; there are {', '.join(job.name for job in jobs)}")
        return 2
    if not options.list:
        queue.make_folders()
    told: dict[str, str] = {}
    for job in jobs:
        if options.names and job.name not in options.names:
            continue
        if queue.is_finished(job):
            told[job.name] = "finished before"
        elif options.list:
            told[job.name] = "to do"
        elif queue.time_left() < LEAST + GRACE:
            told[job.name] = "no time left"
        else:
            console.print(f"{job.name} ...")
            told[job.name] = queue.run(job)
            console.print(f"{job.name}: {told[job.name]}")
    table = Table("job", "what became of it", "ACC / NMI / ARI", box=None, pad_edge=False)
    for name, what in told.items():
        table.add_row(name, what, scores_of(options.state / "results" / f"{name}.json"))
    console.print(table)
    if options.list:
        return 0
    if any(what.startswith(("stopped", "no time")) for what in told.values()):
        console.print("not all of it is finished: the same command goes on")
    queue.copy()
    (queue.out / "queue.json").write_text(json.dumps(told, indent=2) + "\n")
    return 1 if any(what.startswith("failed") for what in told.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
