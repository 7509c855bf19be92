#!/bin/sh
# Trains the demo model from nothing and writes checkpoint/ and golden.safetensors.
#   python -m venv venv && venv/bin/pip install -r requirements.txt && PATH=$PWD/venv/bin:$PATH ./train.sh WORK
# Run it again after any interruption: every stage resumes from WORK, finished ones are skipped.
set -eu
cd "$(dirname "$0")"
work=${1:?usage: train.sh WORK_FOLDER}
mkdir -p "$work"
export OMP_NUM_THREADS=1

# The codes are fixed beforehand, so the image tokenizer trains beside everything else, on a core of its own.
python train.py stage0_tokenizer --work "$work" >"$work/tokenizer.log" 2>&1 &
tokenizer=$!
for stage in stage0_vision stage1 stage2 stage3; do
    python train.py $stage --work "$work"
done
wait $tokenizer || { tail -3 "$work/tokenizer.log"; exit 3; }
python export.py --work "$work" --out checkpoint
python make_golden.py
python evaluate.py --sweep
