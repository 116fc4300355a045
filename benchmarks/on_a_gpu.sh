#!/usr/bin/env bash
# All that is to be measured on an accelerator, accuracy before throughput, by one command on a fresh machine:
#
#     pip install '.[gpu,test]' torch==2.13.0 && benchmarks/on_a_gpu.sh --data cifar10_jpeg.npz
#     benchmarks/on_a_gpu.sh --minutes 9.5                # stops in time; the same command goes on
#     benchmarks/on_a_gpu.sh cc scan losses               # some of it, by name
#     benchmarks/on_a_gpu.sh --list
#
# Finished jobs are skipped, stopped ones go on from their checkpoint, and what fails keeps nothing of the others
# from running; the exit status says whether anything failed. Runs and checkpoints are kept in runs/gpu, figures (JSON)
# and what was printed are copied to $OUT, by default benchmarks/results/gpu. $PYTHON is the Python with jaxdc, $PEER
# the one with torch (by default the same; if it has none, jaxdc is measured alone). TensorFlow is not needed.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python}" benchmarks/_gpu_queue.py "$@"
