#!/usr/bin/env bash
# Everything about resident actors that needs a GPU, in one command, on a machine with an NVIDIA GPU of
# compute capability 9.0 or more, its driver, python3 (3.11+) and g++:
#
#   bench/gpu/run_h200.sh                      sets up build/gpu-venv from PyPI, then runs all of it
#   bench/gpu/run_h200.sh --wheelhouse DIR     the same from a folder of wheels, without a network
#   bench/gpu/run_h200.sh --python PY          with an interpreter that has everything; nothing is set up
#   bench/gpu/run_h200.sh --quick              a hundredth of the hunt, a tenth of the bench, 5 rounds
#   bench/gpu/run_h200.sh --cpu                a rehearsal without a GPU
#
# Contract tests on CUDA, a hunt for torn lines among 10^9 messages, the whole bench. Writes
# bench/results/gpu-MACHINE-DATE.{md,json}, which also say which goals were met. The exit code is 1 if
# a step failed; the other steps run all the same.
set -uo pipefail
cd "$(dirname "$0")/../.."

backend=cuda wheelhouse="" python="" messages=1000000000 rounds=5 quick=()
while [ $# -gt 0 ]; do
  case "$1" in
    --wheelhouse) wheelhouse="$2" && shift ;;
    --python) python="$2" && shift ;;
    --quick) messages=10000000 quick=(--quick) ;;
    --cpu) backend=cpu messages=200000 rounds=2 quick=(--quick) ;;
    *) echo "expected --wheelhouse DIR, --python PY, --quick or --cpu, got '$1'" >&2 && exit 2 ;;
  esac
  shift
done

stop() { # what is missing, what to do
  echo "run_h200.sh: $1; $2" >&2
  exit 3
}
command -v g++ >/dev/null || stop "there is no g++" "apt-get install g++"
if [ "$backend" = cuda ]; then
  command -v nvidia-smi >/dev/null || stop "there is no nvidia-smi" "install the NVIDIA driver, or rehearse with --cpu"
  nvidia-smi -L || stop "the driver sees no GPU" "look at nvidia-smi"
fi

if [ -z "$python" ]; then
  base="$(command -v python3)" || stop "there is no python3" "install Python 3.11 or newer"
  "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    stop "$("$base" -V) is too old" "name another with --python"
  "$base" -m venv build/gpu-venv || stop "no virtual environment could be made" "apt-get install python3-venv"
  python=build/gpu-venv/bin/python
  from=()
  [ -n "$wheelhouse" ] && from=(--no-index --find-links "$wheelhouse")
  # A driver for CUDA 12 loads only what NVRTC of CUDA 12 makes.
  bindings=(cuda-bindings~=13.0.0 nvidia-cuda-nvrtc~=13.0.0)
  if [ "$backend" = cuda ] && nvidia-smi | grep -q 'CUDA Version: 12'; then
    minor="$(nvidia-smi | sed -n 's/.*CUDA Version: 12\.\([0-9]*\).*/\1/p')"
    bindings=("cuda-bindings~=12.$minor.0" "nvidia-cuda-nvrtc-cu12~=12.$minor.0")
  fi
  "$python" -m pip install -q "${from[@]}" . "${bindings[@]}" \
    pytest pytest-timeout hypothesis typer rich numpy ||
    stop "the packages could not be installed" "give a folder of wheels: --wheelhouse DIR"
else
  [ -n "$(ls src/actinium/_native*.so 2>/dev/null)" ] && export PYTHONPATH="$PWD/src"
fi
python="$(cd "$(dirname "$python")" && pwd)/$(basename "$python")"

machine="$(hostname -s | tr -c 'a-zA-Z0-9\n' -)"
if [ "$backend" = cuda ]; then
  machine="$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1 | tr -c 'a-zA-Z0-9\n' - | tr 'A-Z' 'a-z')"
fi
out="bench/results/gpu-$machine-$(date -u +%Y-%m-%d)"
logs=build/gpu-run
mkdir -p "$logs" bench/results
failed=0
summary=""

step() { # title, log, command...
  local title="$1" log="$logs/$2" begun=$SECONDS verdict=ok
  shift 2
  printf '\n=== %s: %s\n' "$title" "$*"
  "$@" 2>&1 | tee "$log"
  if [ "${PIPESTATUS[0]}" != 0 ]; then
    verdict=FAILED
    failed=1
  fi
  summary+="| $title | $verdict | $((SECONDS - begun)) s | $(tail -1 "$log" | tr '|' '/' | cut -c1-160) |"$'\n'
}

tests=(tests/contract/gpu tests/unit/gpu/test_on_device.py)
step "what there is" info.txt "$python" -m actinium gpu info
step "contract on $backend" contract.txt "$python" -m pytest -q -p no:cacheprovider \
  -o addopts="--timeout=300" "${tests[@]}" -k "$backend"
step "hunt of $messages messages" hunt.txt timeout 1800 "$python" -m bench.gpu.hunt \
  --backend "$backend" --messages "$messages" --blocks "$([ "$backend" = cpu ] && echo 1 || echo 8)"
step "bench" bench.txt "$python" -m bench.gpu --backend "$backend" --rounds "$rounds" "${quick[@]}" \
  --markdown "$logs/bench.md" --json "$out.json"

{
  cat "$logs/bench.md" 2>/dev/null || echo "# The bench did not end; see the steps"
  printf '\n## Steps\n\n| step | verdict | time | last line |\n|---|---|---|---|\n%s' "$summary"
  printf '\nCommand: bench/gpu/run_h200.sh. Commit: %s.\n' "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
} >"$out.md"
printf '\n%s\nwritten: %s.md and .json\n' "$summary" "$out"
exit $failed
