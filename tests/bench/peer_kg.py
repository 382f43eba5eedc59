"""Drives DGL's uniform sampler in its own environment: ``peer_kg.py EDGES.npy NODES``.

EDGES.npy: (m, 2) source and destination, both directions. Reads one JSON object a line: {"do": "probe"} or {"do":
"sample", "cap", "repeats"}; answers with a JSON object: seconds (CPU, one thread, the best), edges, version.
"""

import importlib.metadata
import json
import os
import sys
import tempfile
import time

import numpy as np


def main() -> None:
    os.environ["DGLBACKEND"] = "pytorch"
    # DGL writes a file of settings into the home folder.
    os.environ["HOME"] = tempfile.mkdtemp()
    import dgl
    import torch

    torch.set_num_threads(1)
    edges, nodes = np.load(sys.argv[1]), int(sys.argv[2])
    graph = dgl.graph((torch.from_numpy(edges[:, 0].copy()), torch.from_numpy(edges[:, 1].copy())), num_nodes=nodes)
    graph = graph.formats(["csc"])
    graph.create_formats_()
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"version": importlib.metadata.version("dgl")}
        if request["do"] == "sample":
            best, found = float("inf"), 0
            for _ in range(request["repeats"]):
                begin = time.process_time()
                found = dgl.sampling.sample_neighbors(graph, torch.arange(nodes), request["cap"]).num_edges()
                best = min(best, time.process_time() - begin)
            answer |= {"seconds": best, "edges": found}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
