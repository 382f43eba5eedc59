"""Drives bm25s in an environment of its own: ``peer_bm25s.py TEXTS BACKEND``, a JSON file {names, texts}; BACKEND numpy or numba.

Needs bm25s, PyStemmer and, for that backend, numba. Reads one JSON object a line: {"do": "probe"}, {"do": "index"}, or
{"do": "search", "queries", "k"}: English stop words out, Snowball stems, its default BM25. Answers with a JSON object: seconds
(CPU of the process; of a search from the texts of all queries, given at once, to names), names (a list a query), megabytes
(of the index's arrays), version.
"""

import importlib.metadata
import json
import sys
import time
from pathlib import Path


def main() -> None:
    import bm25s
    import numpy as np
    import Stemmer

    given = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    backend, stemmer = sys.argv[2], Stemmer.Stemmer("english")
    names = np.array(given["names"], dtype=object)
    model = bm25s.BM25(backend=backend)

    def tokens(texts: list[str]) -> object:
        return bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False)

    def search(queries: list[str], k: int) -> list[list[str]]:
        # Without answers' scores below 0: bm25s fills up to k with documents that have none of the words.
        found = model.retrieve(tokens(queries), corpus=names, k=k, show_progress=False, n_threads=1)
        return [
            [str(name) for name, score in zip(row, scores, strict=True) if score > 0]
            for row, scores in zip(found.documents, found.scores, strict=True)
        ]

    for line in sys.stdin:
        request, answer = json.loads(line), {}
        start = time.process_time()
        if request["do"] == "probe":
            answer["version"] = importlib.metadata.version("bm25s")
        elif request["do"] == "index":
            model.index(tokens(given["texts"]), show_progress=False)
            answer["seconds"] = time.process_time() - start
            arrays = [value for value in model.scores.values() if isinstance(value, np.ndarray)]
            answer["megabytes"] = sum(array.nbytes for array in arrays) / 1e6
            # Whatever is compiled at first use.
            search(["compile this query", "and this"], 10)
        else:
            answer["names"] = search(request["queries"], request["k"])
            answer["seconds"] = time.process_time() - start
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
