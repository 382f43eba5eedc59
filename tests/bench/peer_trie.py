"""Drives marisa-trie in its own environment: ``peer_trie.py KEYS PREFIXES``, text files of one a line.

Needs marisa-trie alone. Reads one JSON object a line: {"do": "probe"}, {"do": "build"}, {"do": "keys"} or {"do": "items"};
answers with a JSON object: seconds (CPU, one thread), found (number of results over all prefixes), bytes, version.
"""

import importlib.metadata
import json
import sys
import time
from pathlib import Path


def main() -> None:
    import marisa_trie

    keys, prefixes = (Path(name).read_text("utf-8").split("\n") for name in sys.argv[1:3])
    trie = marisa_trie.Trie()
    for line in sys.stdin:
        what = json.loads(line)["do"]
        answer: dict[str, object] = {}
        start = time.process_time()
        if what == "build":
            trie = marisa_trie.Trie(keys)
        elif what in ("keys", "items"):
            look_up = getattr(trie, what)
            answer["found"] = sum(len(look_up(prefix)) for prefix in prefixes)
        answer["seconds"] = time.process_time() - start
        if what == "build":
            answer["bytes"] = len(trie.tobytes())
        if what == "probe":
            answer["version"] = importlib.metadata.version("marisa-trie")
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
