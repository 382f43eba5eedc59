#!/bin/sh
# networkx 3.6.1: GraphML and GEXF files of a graph with the nodes 1 and "1" come back with one node for both.
#
# Expected: write_graphml and write_gexf write each node of a graph, or refuse a graph whose nodes they cannot tell apart, as
# write_gml does. In Python, and in networkx, 1 and "1" are two nodes.
# Seen: both formats identify a node by its text, nothing is said, and the file has two nodes of one id. Read again, the later
# one's attributes replace those of the earlier, and edges of either with the same key become one. node_link_data keeps both.
# Ids read from CSV are texts and those of Parquet often numbers, so graphs with both are easily made.
#
# Prints the nodes and the number of edges that come back, and fails if any of it changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "networkx==3.6.1"
"$work/venv/bin/python" - > "$work/seen" <<'PY'
import io
import json

import networkx as nx

given = nx.MultiDiGraph()
given.add_node("a")
given.add_node(1, name="number")
given.add_node("1", name="text")
given.add_edge("a", 1, key="knows")
given.add_edge("a", "1", key="knows")


def by_file(write, read):
    file = io.BytesIO()
    write(given, file)
    file.seek(0)
    return read(file)


def by_json(graph=given):
    return nx.node_link_graph(json.loads(json.dumps(nx.node_link_data(graph, edges="edges"))), edges="edges")


ways = {
    "graphml": lambda: by_file(nx.write_graphml, nx.read_graphml),
    "gexf": lambda: by_file(nx.write_gexf, nx.read_gexf),
    "gml": lambda: by_file(nx.write_gml, nx.read_gml),
    "node_link": by_json,
}
for name, way in ways.items():
    try:
        found = way()
    except nx.NetworkXError as problem:
        print(name, "| refused:", problem)
    else:
        print(name, "|", [(node, data.get("name")) for node, data in found.nodes(data=True)], "|", found.number_of_edges(), "edges")
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
graphml | [('a', None), ('1', 'text')] | 1 edges
gexf | [('a', None), ('1', 'text')] | 1 edges
gml | refused: node label '1' is duplicated
node_link | [('a', None), (1, 'number'), ('1', 'text')] | 2 edges
OUT
diff "$work/expected" "$work/seen"
