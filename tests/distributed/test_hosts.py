"""Whether the environment names several processes; a mistake here would hang a run, or start it twice."""

import http.server
import os
import socket
import subprocess
import sys
import threading

import pytest

from jaxdc.cli import main
from jaxdc.distributed import hosts
from jaxdc.errors import InputError

STEP = {
    "SLURM_JOB_ID": "77",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "node[01-02]",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NUM_NODES": "2",
}
MPI = {
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}
MPI4 = {**MPI, "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911"}
NAMED = {"JAX_COORDINATOR_ADDRESS": "node01:1234", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"}
INTERACTIVE = {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1", "SLURM_PROCID": "0"}

ALONE = [
    ("nothing", {}),
    ("a shell of salloc", {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "8", "SLURM_JOB_NODELIST": "node[01-02]"}),
    ("a script of sbatch", {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}),
    ("the interactive step of salloc", {**STEP, **INTERACTIVE}),
    ("a step of one task", {**STEP, **INTERACTIVE, "SLURM_NTASKS": "1"}),
    ("mpirun -n 1", {**MPI4, "OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"}),
    ("one host of TPUs", {"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}),
    ("no TPU wanted", {"TPU_WORKER_HOSTNAMES": "t0,t1", "JAX_PLATFORMS": "cpu"}),
    ("a pod of Kubernetes", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}),
    ("one process by name", {**NAMED, "JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"}),
]
JOINED = [
    ("a step: one GPU a task", STEP, ("SLURM", 8, 5, "slurm", None)),
    ("a step of one task a host", {**STEP, "SLURM_STEP_NUM_NODES": "8"}, ("SLURM", 8, 5, "slurm", ())),
    ("tasks with GPUs of their own", {**STEP, "SLURM_GPUS_PER_TASK": "1"}, ("SLURM", 8, 5, "slurm", ())),
    ("tasks that see one GPU", {**STEP, "CUDA_VISIBLE_DEVICES": "3"}, ("SLURM", 8, 5, "slurm", ())),
    ("tasks that see all GPUs", {**STEP, "CUDA_VISIBLE_DEVICES": "0,1,2,3"}, ("SLURM", 8, 5, "slurm", None)),
    (
        "devices by name",
        {**STEP, "SLURM_GPUS_PER_TASK": "2", "JAX_LOCAL_DEVICE_IDS": "0,1"},
        ("SLURM", 8, 5, "slurm", None),
    ),
    ("an address for a step", {**STEP, "JAX_COORDINATOR_ADDRESS": "a:1"}, ("SLURM", 8, 5, "slurm", None)),
    ("Open MPI 4", MPI4, ("Open MPI", 4, 3, "ompi", None)),
    ("Open MPI 4 within SLURM", {**STEP, **MPI4}, ("Open MPI", 4, 3, "ompi", None)),
    ("Open MPI, one a host", {**MPI4, "OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, ("Open MPI", 4, 3, "ompi", ())),
    ("Open MPI 5", MPI, ("Open MPI", 4, 3, "mpi4py", None)),
    (
        "Open MPI 5 with an address",
        {**MPI, "JAX_COORDINATOR_ADDRESS": "a:1"},
        ("Open MPI", 4, 3, "deactivate", (1,)),
    ),
    ("a TPU slice", {"TPU_WORKER_HOSTNAMES": "t0,t1", "TPU_WORKER_ID": "1"}, ("the TPU slice",)),
    ("its addresses", {"TPU_PROCESS_ADDRESSES": "t0:8476,t1:8476"}, ("the TPU slice",)),
    ("slices of one host", {"TPU_WORKER_HOSTNAMES": "t0", "MEGASCALE_NUM_SLICES": "2"}, ("the TPU slice",)),
    ("by name", NAMED, ("JAX_COORDINATOR_ADDRESS", 2, 1, "deactivate")),
    ("by name, whatever SLURM says", {**STEP, **NAMED}, ("JAX_COORDINATOR_ADDRESS", 2, 1, "deactivate")),
]
REFUSED = [
    ({"JAX_COORDINATOR_ADDRESS": "a:1"}, "without JAX_NUM_PROCESSES and JAX_PROCESS_ID: set all three"),
    ({"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"}, "without JAX_COORDINATOR_ADDRESS"),
    ({**NAMED, "JAX_PROCESS_ID": "2"}, "JAX_PROCESS_ID is 2, but must be from 0 to 1"),
    ({**NAMED, "JAX_NUM_PROCESSES": "two"}, "JAX_NUM_PROCESSES must be a whole number, but is 'two'"),
    ({**NAMED, "JAX_COORDINATOR_ADDRESS": "node01"}, "'node01', but must be HOST:PORT"),
]


@pytest.mark.parametrize("environ", [e for _, e in ALONE], ids=[name for name, _ in ALONE])
def test_alone(environ):
    assert hosts.processes_expected(environ) is None


@pytest.mark.parametrize(("environ", "group"), [row[1:] for row in JOINED], ids=[row[0] for row in JOINED])
def test_joined(environ, group):
    assert hosts.processes_expected(environ) == hosts.Group(*group)


@pytest.mark.parametrize(("environ", "words"), REFUSED)
def test_half_of_it_is_refused(environ, words):
    with pytest.raises(InputError, match=words):
        hosts.processes_expected(environ)


@pytest.mark.parametrize("environ", [STEP, MPI4, NAMED, {"TPU_WORKER_HOSTNAMES": "t0,t1"}])
def test_told_to_stay_alone(environ, monkeypatch):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(hosts.jax.distributed, "initialize", lambda **_: pytest.fail("joined"))
    assert hosts.join(False) is False


def test_jax_is_given_what_was_found(monkeypatch):
    for name, value in STEP.items():
        monkeypatch.setenv(name, value)
    given = {}
    monkeypatch.setattr(hosts.jax.distributed, "initialize", given.update)
    assert hosts.join() is True
    assert (given["num_processes"], given["process_id"]) == (8, 5)
    assert given["heartbeat_timeout_seconds"] < 60


@pytest.mark.parametrize(
    ("metadata", "several"),
    [
        ({"worker-network-endpoints": "a:b:10.0.0.1,c:d:10.0.0.2"}, True),
        ({"worker-network-endpoints": "a:b:10.0.0.1", "tpu-env": "MEGASCALE_NUM_SLICES: '2'\nZONE: 'x'"}, True),
        ({"worker-network-endpoints": "a:b:10.0.0.1", "tpu-env": "ZONE: 'x'"}, False),
        ({}, False),
    ],
)
def test_a_cloud_tpu_asks_its_metadata_server(metadata, several, monkeypatch):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = metadata.get(self.path.rpartition("/")[2])
            self.send_response(200 if found and self.headers["Metadata-Flavor"] == "Google" else 404)
            self.end_headers()
            self.wfile.write((found or "").encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environ = {"GCE_METADATA_IP": f"127.0.0.1:{server.server_port}", "TPU_ML_PLATFORM": "JAX"}
        assert hosts._tpu_vm(environ) == (hosts.Group("the Cloud TPU") if several else None)
        assert hosts._tpu_vm({**environ, "TPU_SKIP_MDS_QUERY": "1"}) is None
        assert hosts._tpu_vm({**environ, "TPU_ML_PLATFORM": ""}) is None
        server.shutdown()


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["train", "kmeans", "--data", "digits", *arguments])
    assert end.value.code == 2
    return capsys.readouterr().err


def test_what_the_command_says(capsys, monkeypatch):
    assert "contradict" in refused(capsys, "--distributed", "--no-distributed")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    assert "set all three" in refused(capsys)
    monkeypatch.delenv("JAX_NUM_PROCESSES")

    def initialize(**_):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(hosts.jax.distributed, "initialize", initialize)
    assert "not found from the environment: coordinator_address should be defined" in refused(
        capsys, "--distributed"
    )
    for name, value in MPI.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(hosts.importlib.util, "find_spec", lambda name: None)
    assert "install mpi4py" in refused(capsys)


def test_the_others_never_come():
    code = (
        "from jaxdc import cli; from jaxdc.distributed import hosts; hosts.JOIN_SECONDS = 1; "
        "cli.main(['train', 'kmeans', '--data', 'digits'])"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environ = {**os.environ, **NAMED, "JAX_COORDINATOR_ADDRESS": address}
    alone = subprocess.run(
        [sys.executable, "-c", code], env=environ, stderr=subprocess.PIPE, text=True, timeout=100
    )
    assert alone.returncode == 2
    assert "JAX_COORDINATOR_ADDRESS names did not come within 1 seconds: start the same command" in alone.stderr
