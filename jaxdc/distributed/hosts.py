"""Which processes make up a run, according to the environment, and joining them."""

from __future__ import annotations

import importlib.util
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import NamedTuple

import jax

from jaxdc.distributed import watch
from jaxdc.errors import InputError

# Nothing else reports a lost machine. Processes send heartbeats from their own thread, also while compiling;
# the service waits up to this long for one, and a run should not hang for more than a minute.
HEARTBEAT_SECONDS = 45
JOIN_SECONDS = 300  # hosts of a cluster may start minutes apart
NAMED = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


class Group(NamedTuple):
    """The processes of a run, as described by the environment. JAX detects what is None.

    Attributes:
      where: where they are described.
      n_processes: number of processes.
      index: index of this process.
      detection: method by which JAX detects the rest; None lets it choose.
      devices: devices of the machine that this process uses; empty for all visible ones.
    """

    where: str
    n_processes: int | None = None
    index: int | None = None
    detection: str | None = None
    devices: tuple[int, ...] | None = None


def processes_expected(environ: Mapping[str, str]) -> Group | None:
    """The processes that run this command together, or None if the environment describes a single one.

    Only unambiguous signs count: a SLURM step with several tasks, but not the allocation of a
    shell or a batch script; a TPU slice with several hosts, but not a single host.

    Raises:
      InputError: part of what JAX needs is missing, or a value is not a number.
    """
    if all(environ.get(name) for name in NAMED):
        return _named(environ)
    group = _open_mpi(environ) or _slurm(environ) or _tpu_slice(environ)
    missing = [name for name in NAMED if not environ.get(name)]
    if group is None and len(missing) < len(NAMED):
        given = " and ".join(name for name in NAMED if name not in missing)
        raise InputError(
            f"{given} without {' and '.join(missing)}: set all three to run as one of several processes, "
            "or pass --no-distributed"
        )
    return group


def join(wanted: bool | None = None) -> bool:
    """Joins the other processes of this run, before devices are first used; returns whether it did.

    Args:
      wanted: False runs alone, True asks JAX even if the environment describes no others, None joins
        if it does.

    Raises:
      InputError: the processes were described, or wanted, but not found.
    """
    if wanted is False:
        return False
    try:
        group = processes_expected(os.environ) or _tpu_vm(os.environ)
    except InputError:
        if not wanted:  # JAX may be able to detect what is missing
            raise
        group = None
    if group is None and not wanted:
        return False
    group = group or Group("the environment")
    if group.detection == "mpi4py" and importlib.util.find_spec("mpi4py") is None:
        raise InputError(
            "Open MPI 5 does not give its processes the address of the first one: install mpi4py, "
            "or set JAX_COORDINATOR_ADDRESS to HOST:PORT"
        )
    # JAX waits a little longer, and would then abort the process with a traceback.
    too_late = threading.Timer(JOIN_SECONDS, _give_up, [group.where])
    too_late.daemon = True
    too_late.start()
    try:
        jax.distributed.initialize(
            num_processes=group.n_processes,
            process_id=group.index,
            local_device_ids=group.devices,
            cluster_detection_method=group.detection,
            initialization_timeout=JOIN_SECONDS + 60,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"could not find the other processes from {group.where} ({reason}): set {', '.join(NAMED[:-1])} and "
            f"{NAMED[-1]}, or pass --no-distributed to run alone"
        ) from error
    finally:
        too_late.cancel()
    named = group.where == "JAX_COORDINATOR_ADDRESS"
    watch.begin(os.environ["JAX_COORDINATOR_ADDRESS"] if named else None)
    return True


def _give_up(where: str) -> None:
    watch.end_this(
        2,
        f"the other processes that {where} describes did not join within {JOIN_SECONDS} seconds: start the same "
        "command on every host, and check that each can reach the first, or pass --no-distributed to run alone",
    )


def check_joined() -> None:
    """Raises InputError if the devices belong to several processes that have not been joined."""
    if jax.process_count() > 1 and not jax.distributed.is_initialized():
        raise InputError(
            f"these devices belong to {jax.process_count()} processes, which have not been joined: "
            "pass --distributed to each of them (in Python: call jax.distributed.initialize())"
        )


def _named(environ):
    n, index = _number(environ, "JAX_NUM_PROCESSES"), _number(environ, "JAX_PROCESS_ID")
    address = environ["JAX_COORDINATOR_ADDRESS"]
    if not 0 <= index < n:
        raise InputError(f"JAX_PROCESS_ID is {index}, but must be from 0 to {n - 1} for {n} processes")
    if not address.rpartition(":")[2].isdigit() or not address.rpartition(":")[0]:
        raise InputError(f"JAX_COORDINATOR_ADDRESS is {address!r}, but must be HOST:PORT of process 0")
    return Group("JAX_COORDINATOR_ADDRESS", n, index, "deactivate") if n > 1 else None


def _open_mpi(environ):
    n = _number(environ, "OMPI_COMM_WORLD_SIZE")
    if n < 2:
        return None
    detection = "ompi" if "OMPI_MCA_orte_hnp_uri" in environ else "mpi4py"  # version 5 no longer has the address
    if detection == "mpi4py" and environ.get("JAX_COORDINATOR_ADDRESS"):
        detection = "deactivate"
    one_a_host = environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == "1"
    devices = _devices(environ, one_a_host)
    if devices is None and detection == "deactivate":
        devices = (_number(environ, "OMPI_COMM_WORLD_LOCAL_RANK"),)
    return Group("Open MPI", n, _number(environ, "OMPI_COMM_WORLD_RANK"), detection, devices)


def _slurm(environ):
    # Use the step's own variables: SLURM_NTASKS is also set in a shell within an allocation.
    n = _number(environ, "SLURM_STEP_NUM_TASKS")
    if n < 2 or not all(f"SLURM_{name}" in environ for name in ("JOB_ID", "STEP_NODELIST", "PROCID", "LOCALID")):
        return None
    one_a_host = environ.get("SLURM_STEP_NUM_NODES") == str(n)
    return Group("SLURM", n, _number(environ, "SLURM_PROCID"), "slurm", _devices(environ, one_a_host))


def _devices(environ, one_a_host):
    """JAX gives a task the GPU at its local index: wrong if the task uses all GPUs, or sees only its own."""
    if "JAX_LOCAL_DEVICE_IDS" in environ:
        return None
    visible = environ.get("CUDA_VISIBLE_DEVICES") or environ.get("ROCR_VISIBLE_DEVICES")
    its_own = "SLURM_GPUS_PER_TASK" in environ or (visible and "," not in visible)
    return () if one_a_host or its_own else None


def _tpu_slice(environ):
    if not _uses_tpus(environ):
        return None
    names = environ.get("TPU_PROCESS_ADDRESSES") or environ.get("TPU_WORKER_HOSTNAMES") or ""
    hosts = len([name for name in names.split(",") if name.strip()])
    several = hosts * max(_number(environ, "MEGASCALE_NUM_SLICES"), 1) > 1
    return Group("the TPU slice") if several else None


def _tpu_vm(environ):
    """The hosts of a Cloud TPU, from its metadata server; the environment does not name them."""
    # JAX sets both on import: there is a TPU, and there is a metadata server.
    if environ.get("TPU_ML_PLATFORM") != "JAX" or "TPU_SKIP_MDS_QUERY" in environ or not _uses_tpus(environ):
        return None
    hosts = len(_metadata(environ, "worker-network-endpoints").split(","))
    settings = _metadata(environ, "tpu-env").splitlines() if hosts == 1 else []
    slices = [line.partition(":")[2].strip(" '") for line in settings if line.startswith("MEGASCALE_NUM_SLICES")]
    return Group("the Cloud TPU") if hosts > 1 or slices not in ([], ["1"]) else None


def _metadata(environ, key):
    host = environ.get("GCE_METADATA_IP", "metadata.google.internal")
    url = f"http://{host}/computeMetadata/v1/instance/attributes/{key}"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers={"Metadata-Flavor": "Google"}), timeout=2
        ) as answer:
            return answer.read().decode()
    except (OSError, urllib.error.URLError):
        return ""


def _uses_tpus(environ):
    platforms = environ.get("JAX_PLATFORMS")
    return not platforms or "tpu" in platforms.split(",")


def _number(environ, name):
    """0 if the variable is not set."""
    try:
        return int(environ.get(name) or 0)
    except ValueError:
        raise InputError(f"{name} must be an integer, but is {environ[name]!r}") from None
