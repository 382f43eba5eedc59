#!/bin/sh
# stop-words 2025.11.4: its English list takes content words for stop words.
#
# Expected: a list of stop words has the words that say nothing of a text: articles, prepositions, pronouns, auxiliary
# verbs. Snowball's English list has 174, scikit-learn's 318.
# Seen: the list has 1,333 words, four to ten times as many as those of most other languages there (German 263, French
# 348), among them names of things that people search for: computer, index, copy, text, join, group, length, date, page,
# research, system. A search that leaves these out does not find what documents on computers or indexes are about.
# Lists of one package differ in kind from language to language: Danish has 94 words, Vietnamese 1,943.
#
# Prints the sizes of some lists and which of the words the English one has, and fails if any of them changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "stop-words==2025.11.4" "scikit-learn==1.9.1"
"$work/venv/bin/python" - > "$work/seen" <<'PY'
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from stop_words import get_stop_words

WORDS = "computer index copy text join group length date page research system".split()
for language in ("english", "german", "french", "danish", "vietnamese"):
    print(language, len(get_stop_words(language)))
print("scikit-learn, english", len(ENGLISH_STOP_WORDS))
for name, words in (("stop-words", get_stop_words("english")), ("scikit-learn", ENGLISH_STOP_WORDS)):
    print(name, "has", " ".join(word for word in WORDS if word in words) or "none of them")
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
english 1333
german 263
french 348
danish 94
vietnamese 1943
scikit-learn, english 318
stop-words has computer index copy text join group length date page research system
scikit-learn has system
OUT
diff "$work/expected" "$work/seen"
