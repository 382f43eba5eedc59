"""Small graphs in every form that they are read in, as files."""

from pathlib import Path

#: Rows of a table, and entities that are the head of something.
ROWS = 120


def table(folder: Path) -> Path:
    """A table of papers with columns of authors and venues."""
    rows = [f"p{row},paper {row},author {row % 37}; author {row % 11},venue {row % 5}\n" for row in range(ROWS)]
    path = folder / "papers.csv"
    path.write_text("number,name,authors,venue\n" + "".join(rows))
    return path


def triples(folder: Path) -> Path:
    """A table of head, relation and tail."""
    lines = [f"e{row},knows,e{(7 * row + 1) % ROWS}\ne{row},in,c{row % 9}\n" for row in range(ROWS)]
    path = folder / "triples.csv"
    path.write_text("head,relation,tail\n" + "".join(lines))
    return path


def n_triples(folder: Path) -> Path:
    """A file in N-Triples, with names."""
    lines = [
        f'<http://x/e{row}> <http://x/knows> <http://x/e{(7 * row + 1) % ROWS}> .\n<http://x/e{row}> <http://x/name> "n {row} ." .\n'
        for row in range(ROWS)
    ]
    path = folder / "graph.nt"
    path.write_text("".join(lines))
    return path


def dbp15k(folder: Path) -> Path:
    """A folder in the layout of DBP15K: two graphs and their links."""
    for side in (1, 2):
        (folder / f"ent_ids_{side}").write_text("".join(f"{row}\thttp://x/{side}/{row}\n" for row in range(ROWS)))
        (folder / f"triples_{side}").write_text("".join(f"{row}\t1\t{(row + 1) % ROWS}\n" for row in range(ROWS)))
    (folder / "ref_ent_ids").write_text("".join(f"{row}\t{row}\n" for row in range(50)))
    (folder / "sup_ent_ids").write_text("".join(f"{row}\t{row}\n" for row in range(50, 60)))
    return folder


#: What writes a graph of each form into a folder, and returns its path.
GRAPHS = {"triples": triples, "n-triples": n_triples, "dbp15k": dbp15k, "table": table}
