#!/usr/bin/env bash
# All that is to be measured on an accelerator, by one command on a fresh machine, in less than a quarter of an hour:
#
#     pip install '.[gpu,test]' torch==2.13.0 && benchmarks/on_a_gpu.sh
#     benchmarks/on_a_gpu.sh losses slow_clock                             # some of it, by name
#
# Figures (JSON) and what was printed go to $OUT, by default benchmarks/results/gpu. $PYTHON is the Python with
# jaxdc, $PEER the one with torch (by default the same; where it has none, ours is measured alone). What fails or
# runs out of its time keeps nothing of the others from running; the exit status says whether anything did.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python} PEER=${PEER:-$PYTHON} OUT=${OUT:-benchmarks/results/gpu}
mkdir -p "$OUT"
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} XLA_PYTHON_CLIENT_PREALLOCATE=false
peer=() compiled=() status=0 only=" $* "
if "$PEER" -c 'import torch' 2>/dev/null; then peer=(--peer "$PEER") compiled=(--compile); fi

run() { # seconds, name, command
  local seconds=$1 name=$2 start=$SECONDS code=0
  shift 2
  if [ "$only" != "  " ] && [[ $only != *" $name "* ]]; then return; fi
  echo "== $name"
  timeout -k 5 "$seconds" "$@" 2>"$OUT/$name.err" | tee "$OUT/$name.txt" || code=$?
  echo "== $name: exit $code after $((SECONDS - start)) s"
  [ "$code" = 0 ] || { status=1; tail -n 5 "$OUT/$name.err"; }
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv 2>/dev/null | tee "$OUT/machine.txt"
"$PYTHON" -c 'import jax; print(jax.__version__, jax.default_backend(), jax.devices())' | tee -a "$OUT/machine.txt"
train=("$PYTHON" benchmarks/train_throughput.py)
run 230 resnet18 "${train[@]}" "${peer[@]}" "${compiled[@]}" --output "$OUT/train_throughput_resnet18.json"
run 120 resnet50 "${train[@]}" "${peer[@]}" "${compiled[@]}" --methods simclr --network resnet50 --image-size 224 \
  --batch 64 --steps 20 --output "$OUT/train_throughput_resnet50.json"
run 30 augment "$PYTHON" benchmarks/augment.py --output "$OUT/augment.json"
run 50 stream "${train[@]}" --methods simclr --input stream --profile "$OUT/profile" --output "$OUT/stream.json"
run 40 losses "$PYTHON" benchmarks/losses.py "${peer[@]}" --output "$OUT/losses.json"
run 60 clustering "$PYTHON" benchmarks/clustering.py --only mixture neighbors --output "$OUT/clustering.json"
# What needs eight devices is for the CPU's virtual ones; products in TF32 would miss the tolerances.
JAX_DEFAULT_MATMUL_PRECISION=highest run 60 tests "$PYTHON" -m pytest -q -n 0 tests/nn/test_resnet.py \
  tests/nn/test_norm.py tests/losses/test_contrastive.py tests/losses/test_instance.py tests/augment \
  -k "not global_batch and not several_devices"
run 180 slow_clock "$PYTHON" benchmarks/slow_clock.py --dtype bfloat16 --output "$OUT/slow_clock.json"
exit "$status"
