#!/bin/sh
# marisa-trie 1.4.1: looked up by a key with a NUL character, a Trie gives the id of another key.
#
# Expected: trie[key] and trie.get(key) are the id that trie.items() has for the key, or KeyError and None for a key that is
# not in the trie; trie.prefixes(text) are the keys that text begins with.
# Seen: these three read a key up to its first NUL. trie["a\0b"] is the id of "a", without an error, and so is
# trie.get("a\0zzz"), which is no key at all; where what is before the NUL is no key, a key that is there is missing.
# Contains (`in`), keys(), items() and restore_key() read the whole key and are right, and so are BinaryTrie and BytesTrie.
# An open report from 2018 (pytries/marisa-trie, issue 47) has the missing key, not the wrong id.
#
# Prints one line for each look-up, and fails if any of them changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "marisa-trie==1.4.1"
"$work/venv/bin/python" - > "$work/seen" <<'PY'
import marisa_trie

trie = marisa_trie.Trie(["a", "a\0b", "c\0"])
ids = dict(trie.items())
for key in ("a", "a\0b", "c\0", "a\0zzz"):
    print(f"{key!r}: in {key in trie}, items {ids.get(key)}, get {trie.get(key)}")
print(f"prefixes of {'a' + chr(0) + 'bc'!r}: {trie.prefixes('a' + chr(0) + 'bc')}")
binary = marisa_trie.BinaryTrie([b"a", b"a\0b"])
print(f"BinaryTrie: items {dict(binary.items())[b'a' + bytes(1) + b'b']}, get {binary.get(b'a' + bytes(1) + b'b')}")
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
'a': in True, items 0, get 0
'a\x00b': in True, items 2, get 0
'c\x00': in True, items 1, get None
'a\x00zzz': in False, items None, get 0
prefixes of 'a\x00bc': ['a']
BinaryTrie: items 1, get 1
OUT
diff "$work/expected" "$work/seen"
