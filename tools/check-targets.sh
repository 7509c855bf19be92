#!/bin/sh
# Converts a checkpoint for every execution provider and tells what each would run of it, without any of them.
#
#   tools/check-targets.sh CHECKPOINT [OPTIONS OF janus convert]
#
# Prints a row for each target: nodes and heavy ones (products, convolutions, attention) that the provider
# has kernels for, by `janus validate --provider`, then what leaves. Ends with 6 if a heavy node does, or a
# conversion fails. Needed are the `janus` program (on the PATH, or named by JANUS) and room for two exports
# beside each other (in TMPDIR; what targets have in common is stored once); nothing is left there.
set -u

if [ $# -lt 1 ]; then
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
checkpoint=$1
shift
janus=${JANUS:-janus}
targets='cpu cuda tensorrt directml coreml openvino webgpu'
folder=$(mktemp -d "${TMPDIR:-/tmp}/janus-targets.XXXXXX") || exit 5
trap 'rm -rf "$folder"' EXIT
failed=0

printf '%s, %s, %s\n' "$("$janus" --version)" "$checkpoint" "$(date -u +%Y-%m-%d)"
if ! "$janus" --quiet convert "$checkpoint" "$folder/exports" "$@" \
    --target "$(echo "$targets" | tr ' ' ,)"; then
    exit 6
fi
printf '%-9s  %-4s  %s\n' target end "heavy nodes placed, and what leaves by operator"
for target in $targets; do
    end=ok
    if ! "$janus" --quiet validate "$folder/exports/$target" --provider "$target" --json \
        >"$folder/report" 2>"$folder/errors"; then
        end=FAIL failed=1
    fi
    printf '%-9s  %-4s  %s\n' "$target" "$end" "$(awk -f - "$folder/report" <<'SUMS'
/"heavy": [0-9]/ { heavy += $2 }
/"heavy_placed": / { placed += $2 }
/"op_type": / { gsub(/[",]/, "", $2); operator = $2 }
/"count": / && operator { leaving[operator] += $2; operator = "" }
END {
    told = placed + 0 " of " heavy + 0
    for (operator in leaving) told = told "; " leaving[operator] " " operator
    print told
}
SUMS
    )"
    [ "$end" = ok ] || grep -m 1 . "$folder/errors"
done
exit $((failed * 6))
