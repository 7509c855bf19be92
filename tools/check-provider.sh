#!/bin/sh
# Runs the parity suite and the measurements of an execution provider, and prints one table.
#
#   tools/check-provider.sh PROVIDER MODEL [REFERENCE]
#
# MODEL is an export for that provider (`janus convert CHECKPOINT MODEL --target PROVIDER`). REFERENCE is
# an fp32 export of the same checkpoint for the CPU: without one, numbers are not compared. Nothing is
# built: needed are the `janus` program (on the PATH, or named by JANUS), the runtime library and the
# model. Every line says what was run and how it ended; what was printed is kept beside the table.
set -u

if [ $# -lt 2 ]; then
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
provider=$1 model=$2 reference=${3-}
janus=${JANUS:-janus}
logs=$(mktemp -d "${TMPDIR:-/tmp}/janus-check.XXXXXX") || exit 5
failed=0

row() { printf '%-12s  %-6s  %s\n' "$1" "$2" "$3"; }

# step NAME COMMAND...: runs a command, keeps what it prints, and tells its end and its last line.
step() {
    name=$1
    shift
    if "$@" >"$logs/$name" 2>"$logs/$name.err"; then
        row "$name" ok "$(tail -n 1 "$logs/$name")"
    else
        status=$?
        failed=1
        row "$name" "FAIL $status" "$(grep -m 1 . "$logs/$name.err")"
    fi
}

printf '%s on %s, %s, %s\n' "$model" "$provider" "$("$janus" --version)" "$(date -u +%Y-%m-%d)"
row step end "last line"
step doctor "$janus" doctor --on "$provider"
step structure "$janus" validate "$model" --on "$provider"
if [ -n "$reference" ]; then
    step parity "$janus" validate "$model" --on "$provider" --compare-with "$reference"
fi
step text "$janus" text "$model" --on "$provider" --max-tokens 16 "What is the capital of France?"
step bench "$janus" bench "$model" --on "$provider" --stage vision,prefill,decode,vq
echo "logs: $logs"
exit $((failed * 6))
