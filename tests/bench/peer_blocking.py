"""Drives TF-IDF and sparse_dot_topn in an environment of their own: ``peer_blocking.py TEXTS``, a JSON file {left, right}.

Needs scikit-learn and sparse_dot_topn. Reads one JSON object a line: {"do": "probe"} or {"do": "block", "keep"}: character
n-grams of 2 to 4 within words, and the products of each left text with all right ones, of which ``keep`` are kept. Answers
with a JSON object: seconds (CPU, one thread), pairs (two lists), version.
"""

import importlib.metadata
import json
import sys
import time
from pathlib import Path


def main() -> None:
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sparse_dot_topn import sp_matmul_topn

    texts = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    for line in sys.stdin:
        request, answer = json.loads(line), {}
        start = time.process_time()
        if request["do"] == "probe":
            answer["version"] = importlib.metadata.version("sparse_dot_topn")
        else:
            vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
            rows = vectorizer.fit_transform([*texts["left"], *texts["right"]])
            left, right = rows[: len(texts["left"])], rows[len(texts["left"]) :]
            found = sp_matmul_topn(left, right.T.tocsr(), top_n=request["keep"], sort=True, n_threads=1)
            answer["seconds"] = time.process_time() - start
            owners = np.repeat(np.arange(found.shape[0]), np.diff(found.indptr))
            answer["pairs"] = [owners.tolist(), found.indices.tolist()]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
