#!/bin/sh
# torch 2.13.0, CPU (MKL 2024.2): the rows of a small linear layer have other last bits at another position of a batch.
#
# Expected: a row of torch.nn.functional.linear depends on that row and the layer, at least within one call on one thread.
# Seen on an AMD EPYC (Zen 5): equal rows of one batch of 256 have unequal results where a layer has 2 to 11 outputs and its
# inputs are no multiple of 4, so that rows of float32 begin at other multiples of 16 bytes: MKL takes the order of the sum
# from the alignment of a row. 50 channels to 10 classes are such a layer. Rows of a wider array, each aligned, are equal; so
# are all with MKL_CBWR=AUTO. It is rounding, within the error of any order of a sum.
#
# Prints the shapes (inputs, outputs) with unequal rows, of rows as they come and of aligned ones; fails if that changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "torch==2.13.0" "numpy==2.4.6"
for reproducible in "" AUTO; do
    MKL_CBWR=$reproducible "$work/venv/bin/python" - <<'PY'
import os

import torch

torch.set_num_threads(1)
torch.manual_seed(0)
found = {"as they come": [], "aligned": []}
for inputs in (10, 12, 50, 64, 127):
    for outputs in (1, 2, 10, 11, 12, 64):
        rows = torch.randn(1, inputs).repeat(256, 1)
        wide = torch.zeros(256, -(-inputs // 16) * 16)
        wide[:, :inputs] = rows
        weight, bias = torch.randn(outputs, inputs), torch.randn(outputs)
        for name, given in (("as they come", rows), ("aligned", wide[:, :inputs])):
            out = torch.nn.functional.linear(given, weight, bias)
            if not bool((out == out[:1]).all()):
                found[name].append(f"{inputs}-{outputs}")
for name, shapes in found.items():
    print(f"MKL_CBWR={os.environ['MKL_CBWR']} | {name} | {' '.join(shapes) or 'none'}")
PY
done > "$work/seen"
cat "$work/seen"
cat > "$work/expected" <<'OUT'
MKL_CBWR= | as they come | 10-2 10-10 10-11 50-10 50-11 127-2 127-10 127-11
MKL_CBWR= | aligned | none
MKL_CBWR=AUTO | as they come | none
MKL_CBWR=AUTO | aligned | none
OUT
diff "$work/expected" "$work/seen"
