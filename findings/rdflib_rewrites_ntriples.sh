#!/bin/sh
# rdflib 7.6.0: N-Triples that are read and written again say something else; pyoxigraph 0.5.13 keeps them.
#
# Expected: a parser and a serialiser of N-Triples, one after the other, give the triples that they were given; the
# lexical form of a literal is part of it (RDF 1.1 Concepts, section 3.3: literals are equal if their lexical forms,
# datatypes and language tags are).
# Seen: rdflib normalises literals of known datatypes while it reads. "INF" becomes "inf", which is no double any more; a
# date loses its zone, a time its nanoseconds, a duration of 13 months becomes one of a year and a month; hexBinary
# becomes lower case; +01 becomes 1, so two triples can become one. rdflib.NORMALIZE_LITERALS = False prevents these.
# With and without it blank nodes get new random labels, and a valid line without blanks between its terms is refused.
# pyoxigraph keeps all of these. It lower-cases language tags and leaves out an explicit xsd:string, as RDF 1.1 allows
# and wants, and it refuses a colon in a label of a blank node, which is valid.
#
# Prints for each line what either gives back, and fails if any of them changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "rdflib==7.6.0" "pyoxigraph==0.5.13"
"$work/venv/bin/python" - > "$work/seen" 2> "$work/warnings" <<'PY'
import re

import pyoxigraph as ox
import rdflib

XSD = "http://www.w3.org/2001/XMLSchema#"
LINES = (
    f'<a:s> <a:p> "INF"^^<{XSD}double> .',
    f'<a:s> <a:p> "2020-01-01Z"^^<{XSD}date> .',
    f'<a:s> <a:p> "2020-01-01T00:00:00.123456789Z"^^<{XSD}dateTime> .',
    f'<a:s> <a:p> "P13M"^^<{XSD}duration> .',
    f'<a:s> <a:p> "ABab"^^<{XSD}hexBinary> .',
    f'<a:s> <a:p> "+01"^^<{XSD}integer> .',
    '_:b <a:p> "x" .',
    "<a:s><a:p><a:o>.",
    '<a:s> <a:p> "x"@EN .',
    f'<a:s> <a:p> "x"^^<{XSD}string> .',
    "_:a:b <a:p> <a:o> .",
)


def by_rdflib(line):
    graph = rdflib.Graph()
    graph.parse(data=line + "\n", format="nt")
    return graph.serialize(format="nt").strip()


def by_pyoxigraph(line):
    read = ox.parse(input=line, format=ox.RdfFormat.N_TRIPLES)
    return ox.serialize(read, format=ox.RdfFormat.N_TRIPLES).decode().strip()


def shown(function, line):
    try:
        found = function(line)
    except Exception as problem:
        return f"refused, {type(problem).__name__}"
    if found == line:
        return "the same"
    return re.sub(r"_:N[0-9a-f]{32}", "_:(random)", found).replace(XSD, "xsd:")


for normalize in (True, False):
    rdflib.NORMALIZE_LITERALS = normalize
    for line in LINES:
        print("normalize" if normalize else "as it is", "|", line.replace(XSD, "xsd:"), "|", shown(by_rdflib, line))
for line in LINES:
    print("pyoxigraph", "|", line.replace(XSD, "xsd:"), "|", shown(by_pyoxigraph, line))
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
normalize | <a:s> <a:p> "INF"^^<xsd:double> . | <a:s> <a:p> "inf"^^<xsd:double> .
normalize | <a:s> <a:p> "2020-01-01Z"^^<xsd:date> . | <a:s> <a:p> "2020-01-01"^^<xsd:date> .
normalize | <a:s> <a:p> "2020-01-01T00:00:00.123456789Z"^^<xsd:dateTime> . | <a:s> <a:p> "2020-01-01T00:00:00.123456+00:00"^^<xsd:dateTime> .
normalize | <a:s> <a:p> "P13M"^^<xsd:duration> . | <a:s> <a:p> "P1Y1M"^^<xsd:duration> .
normalize | <a:s> <a:p> "ABab"^^<xsd:hexBinary> . | <a:s> <a:p> "abab"^^<xsd:hexBinary> .
normalize | <a:s> <a:p> "+01"^^<xsd:integer> . | <a:s> <a:p> "1"^^<xsd:integer> .
normalize | _:b <a:p> "x" . | _:(random) <a:p> "x" .
normalize | <a:s><a:p><a:o>. | refused, ParserError
normalize | <a:s> <a:p> "x"@EN . | the same
normalize | <a:s> <a:p> "x"^^<xsd:string> . | the same
normalize | _:a:b <a:p> <a:o> . | _:(random) <a:p> <a:o> .
as it is | <a:s> <a:p> "INF"^^<xsd:double> . | the same
as it is | <a:s> <a:p> "2020-01-01Z"^^<xsd:date> . | the same
as it is | <a:s> <a:p> "2020-01-01T00:00:00.123456789Z"^^<xsd:dateTime> . | the same
as it is | <a:s> <a:p> "P13M"^^<xsd:duration> . | the same
as it is | <a:s> <a:p> "ABab"^^<xsd:hexBinary> . | the same
as it is | <a:s> <a:p> "+01"^^<xsd:integer> . | the same
as it is | _:b <a:p> "x" . | _:(random) <a:p> "x" .
as it is | <a:s><a:p><a:o>. | refused, ParserError
as it is | <a:s> <a:p> "x"@EN . | the same
as it is | <a:s> <a:p> "x"^^<xsd:string> . | the same
as it is | _:a:b <a:p> <a:o> . | _:(random) <a:p> <a:o> .
pyoxigraph | <a:s> <a:p> "INF"^^<xsd:double> . | the same
pyoxigraph | <a:s> <a:p> "2020-01-01Z"^^<xsd:date> . | the same
pyoxigraph | <a:s> <a:p> "2020-01-01T00:00:00.123456789Z"^^<xsd:dateTime> . | the same
pyoxigraph | <a:s> <a:p> "P13M"^^<xsd:duration> . | the same
pyoxigraph | <a:s> <a:p> "ABab"^^<xsd:hexBinary> . | the same
pyoxigraph | <a:s> <a:p> "+01"^^<xsd:integer> . | the same
pyoxigraph | _:b <a:p> "x" . | the same
pyoxigraph | <a:s><a:p><a:o>. | <a:s> <a:p> <a:o> .
pyoxigraph | <a:s> <a:p> "x"@EN . | <a:s> <a:p> "x"@en .
pyoxigraph | <a:s> <a:p> "x"^^<xsd:string> . | <a:s> <a:p> "x" .
pyoxigraph | _:a:b <a:p> <a:o> . | refused, SyntaxError
OUT
diff "$work/expected" "$work/seen"
