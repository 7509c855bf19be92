#!/bin/sh
# Trains the demo model from nothing and writes checkpoint/, golden.safetensors, samples.png and wrong.png.
#   python -m venv venv && venv/bin/pip install -r requirements.txt && PATH=$PWD/venv/bin:$PATH ./train.sh WORK
# Run it again after any interruption: every stage resumes from WORK, finished ones are skipped.
# MINUTES ends all stages but the tokenizer's after so many together; THREADS (default 1): of a training without a GPU.
set -eu
cd "$(dirname "$0")"
work=${1:?usage: train.sh WORK_FOLDER}
mkdir -p "$work"
export OMP_NUM_THREADS=1

python check.py
# The codes are fixed beforehand, so the image tokenizer trains beside everything else, on a core of its own.
python train.py stage0_tokenizer --work "$work" >"$work/tokenizer.log" 2>&1 &
tokenizer=$!
python train.py stage0_vision stage1 stage2 stage3 --work "$work" --threads "${THREADS:-1}" ${MINUTES:+--minutes $MINUTES}
wait $tokenizer || { tail -3 "$work/tokenizer.log"; exit 3; }
python export.py --work "$work" --out checkpoint
python make_golden.py
python samples.py
python evaluate.py --sweep
