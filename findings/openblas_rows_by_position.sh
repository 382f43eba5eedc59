#!/bin/sh
# numpy 2.4.6 (its wheel's OpenBLAS 0.3.31), x86-64: with the core Haswell a row's product has other last bits at another
# position of a batch.
#
# Expected: a row of a float32 product x @ m depends on that row and m, as it does with other cores.
# Seen: equal rows of one batch of 128 have unequal products, of nearly every shape of 8 columns and more. Haswell is what
# OpenBLAS takes by itself on a CPU with AVX2 and without AVX-512; the environment variable OPENBLAS_CORETYPE chooses it
# elsewhere. With SkylakeX (AVX-512) and Nehalem (SSE) the products are equal. It is rounding,
# within the error of any order of a sum; but a result that must not depend on other rows cannot be made of it.
#
# Needs a CPU with AVX-512. Prints how many of 12 shapes (d, h) have unequal rows; fails if that changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "numpy==2.4.6" "threadpoolctl==3.6.0"
for core in Nehalem Haswell SkylakeX; do
    OPENBLAS_CORETYPE=$core OPENBLAS_NUM_THREADS=1 "$work/venv/bin/python" - <<'PY'
import numpy as np
import threadpoolctl

(blas,) = threadpoolctl.ThreadpoolController().select(internal_api="openblas").info()
random = np.random.default_rng(0)
shapes = [(d, h) for d in (8, 100, 128, 300) for h in (8, 64, 100)]
unequal = 0
for d, h in shapes:
    row, matrix = random.standard_normal((1, d)), random.standard_normal((d, h))
    products = np.repeat(row.astype(np.float32), 128, axis=0) @ matrix.astype(np.float32)
    unequal += bool((products != products[:1]).any())
print(f"OpenBLAS {blas['version']} | {blas['architecture']} | {unequal} of {len(shapes)} shapes with unequal rows")
PY
done > "$work/seen"
cat "$work/seen"
cat > "$work/expected" <<'OUT'
OpenBLAS 0.3.31.188.0 | Nehalem | 0 of 12 shapes with unequal rows
OpenBLAS 0.3.31.188.0 | Haswell | 12 of 12 shapes with unequal rows
OpenBLAS 0.3.31.188.0 | SkylakeX | 0 of 12 shapes with unequal rows
OUT
diff "$work/expected" "$work/seen"
