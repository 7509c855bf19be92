#!/bin/sh
# Trains the small JanusFlow from nothing and writes checkpoint/.
#   python -m venv venv && venv/bin/pip install -r ../demo-model/requirements.txt && PATH=$PWD/venv/bin:$PATH ./train.sh WORK
# Without a graphics card, BATCH=0.1 takes that share of every batch.
# Run it again after any interruption: every stage resumes from WORK, finished ones are skipped.
set -eu
cd "$(dirname "$0")"
work=${1:?usage: train.sh WORK_FOLDER}
mkdir -p "$work"
export OMP_NUM_THREADS=1
set -- --work "$work" --batch "${BATCH:-1}"

# Latents are final long before the VAE's decoder is: that goes on beside the flow, on a core of its own.
python train.py stage1_vae --work "$work" >"$work/vae.log" 2>&1 &
vae=$!
python train.py stage0_vision --work "$work"
while [ ! -e "$work/latents.pt" ]; do
    kill -0 $vae 2>/dev/null || { tail -3 "$work/vae.log"; exit 3; }
    sleep 5
done
python train.py stage2_flow "$@" --loaders "${LOADERS:-1}"
wait $vae || { tail -3 "$work/vae.log"; exit 3; }
python export.py --work "$work" --out checkpoint
