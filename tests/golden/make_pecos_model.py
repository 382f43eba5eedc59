"""Makes ``pecos_model.npz``: a small problem and what libpecos 1.2.8 learns of it; run with the peers' ``pecos`` environment.

``make_pecos_model.py``: rows and labels are drawn here; the tree is libpecos' own, branching 2; eps 1e-6, no pruning; ids and
scores are its predictions with a beam as wide as the tree, l3-hinge.
"""

from pathlib import Path

import numpy as np
from pecos.xmc import Indexer, LabelEmbeddingFactory
from pecos.xmc.xlinear.model import XLinearModel
from scipy import sparse

ROWS, LABELS, FEATURES = 200, 40, 80


def problem():
    """Rows of norm 1 and their labels; a label's rows share some features."""
    rng = np.random.default_rng(0)
    words = np.stack([rng.choice(FEATURES, 6, replace=False) for _ in range(LABELS)])
    x, y = np.zeros((ROWS, FEATURES)), np.zeros((ROWS, LABELS))
    for row in range(ROWS):
        for label in rng.choice(LABELS, rng.integers(1, 4), replace=False):
            y[row, label] = 1
            x[row, rng.choice(words[label], 4, replace=False)] += rng.random(4)
        x[row, rng.choice(FEATURES, 3)] += 0.3
    x /= np.linalg.norm(x, axis=1)[:, None]
    return sparse.csr_matrix(x.astype(np.float32)), sparse.csr_matrix(y.astype(np.float32))


def main():
    """Train and save."""
    x, y = problem()
    features = LabelEmbeddingFactory.create(y, x, method="pifa")
    chain = Indexer.gen(features, indexer_type="hierarchicalkmeans", nr_splits=2, max_leaf_size=10, threads=1)
    model = XLinearModel.train(x, y, chain, threads=1, threshold=0.0, eps=1e-6, max_iter=20_000)
    found = model.predict(x, beam_size=LABELS, only_topk=LABELS, threads=1).toarray()
    out = {"x": x.toarray(), "y": y.toarray().astype(np.uint8), "scores": found, "pifa": features.toarray()}
    for level, layer in enumerate(model.model.model_chain):
        out[f"parents_{level}"] = np.asarray(sparse.csr_matrix(layer.C).indices, dtype=np.int32)
        out[f"weights_{level}"] = layer.W.toarray().astype(np.float32)
    np.savez_compressed(Path(__file__).with_name("pecos_model.npz"), **out)
    print({name: array.shape for name, array in out.items()})


if __name__ == "__main__":
    main()
