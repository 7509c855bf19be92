#!/bin/sh
# Runs the parity suite and the measurements of an execution provider, and prints one table.
#
#   tools/check-provider.sh PROVIDER [MODEL [REFERENCE]]
#
# The checkpoints of the repository that this file lies in are converted for PROVIDER in each precision
# that it has, and compared with the numbers of the official code and of transformers. MODEL is an export
# for PROVIDER (`janus convert CHECKPOINT MODEL --target PROVIDER`): it is checked, answers, draws and is
# measured. REFERENCE is an fp32 export of the same checkpoint for the CPU, with which MODEL's numbers are
# compared. Nothing is built: needed are the `janus` program (on the PATH, or named by JANUS), the runtime
# library and the models. Every line says what was run and how it ended; what was printed is kept.
set -u

if [ $# -lt 1 ]; then
    sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
provider=$1 model=${2-} reference=${3-}
janus=${JANUS:-janus}
root=$(cd "$(dirname "$0")/.." && pwd)
logs=$(mktemp -d "${TMPDIR:-/tmp}/janus-check.XXXXXX") || exit 5
failed=0

row() { printf '%-18s  %-6s  %s\n' "$1" "$2" "$3"; }

# step NAME COMMAND...: runs a command, keeps what it prints, and tells its end and its last line.
step() {
    name=$1
    shift
    if "$@" >"$logs/$name" 2>"$logs/$name.err"; then
        row "$name" ok "$(grep . "$logs/$name" | tail -n 1)"
    else
        status=$?
        failed=1
        row "$name" "FAIL $status" "$(cat "$logs/$name" "$logs/$name.err" | grep -E -m 1 'error|FAIL')"
    fi
}

# parity NAME GOLDEN CHECKPOINT OPTIONS...: a checkpoint of the repository in every precision.
parity() {
    model_name=$1 golden=$2 checkpoint=$3
    shift 3
    for dtype in $precisions; do
        export="$logs/$model_name-$dtype.export"
        if "$janus" --quiet convert "$checkpoint" "$export" --target "$target" --dtype "$dtype" "$@" \
            >"$logs/$model_name-$dtype.convert" 2>&1; then
            step "$model_name-$dtype" "$janus" --quiet validate "$export" --on "$provider" --golden "$golden"
        else
            failed=1
            row "$model_name-$dtype" FAIL "$(tail -n 1 "$logs/$model_name-$dtype.convert")"
        fi
        rm -rf "$export"
    done
}

target=${provider%%:*} capture=
case $target in
cpu) precisions='fp32 fp16 bf16 q8' ;;
cuda) precisions='fp32 fp16 bf16' capture='enable_cuda_graph=1' ;;
*) precisions='fp32 fp16' ;;
esac

printf '%s, %s, %s\n' "$("$janus" --version)" "$provider" "$(date -u +%Y-%m-%d)"
row step end "last line"
step doctor "$janus" doctor --on "$provider"
grep -h '^library\|^version\|^providers' "$logs/doctor"
if [ -d "$root/tests/data/janus-tiny" ]; then
    data=$root/tests/data demo=$root/tools/demo-model
    parity tiny "$data/janus-tiny/golden.safetensors" "$data/janus-tiny/released"
    parity tiny-flow "$data/janusflow-tiny/golden.safetensors" "$data/janusflow-tiny/released" \
        --vae "$data/janusflow-tiny/sdxl-vae"
    parity demo "$demo/golden.safetensors" "$demo/checkpoint"
fi
if [ -n "$model" ]; then
    step structure "$janus" --quiet validate "$model" --on "$provider"
    if [ -n "$reference" ]; then
        step reference "$janus" --quiet validate "$model" --on "$provider" --compare-with "$reference"
    fi
    step text "$janus" --quiet text "$model" --on "$provider" --max-tokens 16 "What is the capital of France?"
    step image "$janus" --quiet image "$model" --on "$provider" --seed 7 --out "$logs/image.png" "a red fox"
    step bench "$janus" --quiet bench "$model" --on "$provider" --stage vision,prefill,decode,vq
    if [ -n "$capture" ]; then
        step image-captured "$janus" --verbose image "$model" --on "$provider" --seed 7 \
            --provider-option "$capture" --out "$logs/image-captured.png" "a red fox"
        row replayed "$(grep -c 'Replaying the captured' "$logs/image-captured.err")" steps
        # Sums are added up in another order: it need not be.
        cmp -s "$logs/image.png" "$logs/image-captured.png" && same=yes || same=no
        row same-picture "$same" "with and without $capture"
        step bench-captured "$janus" --quiet bench "$model" --on "$provider" --stage decode \
            --provider-option "$capture"
    fi
fi
echo "logs: $logs"
exit $((failed * 6))
