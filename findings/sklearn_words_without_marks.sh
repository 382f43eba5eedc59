#!/bin/sh
# Python 3.11 re and scikit-learn 1.9.1: words end at vowel signs and accents that are characters of their own.
#
# Expected: \w+ finds words, in every script. Unicode says what \w is (UTS #18, Annex C): alphabetic characters, marks,
# digits, connector punctuation; the package regex (2026.11.19) has it so.
# Seen: re has letters, digits and underscores only, the characters of str.isalnum. A mark (Mn, Mc) ends the word: Hindi,
# Tamil and Thai words are cut at their vowel signs, Hebrew and Arabic ones at points, and an e followed by a combining
# acute accent ends its word, though the composed letter does not. scikit-learn's default token_pattern, two or more \w,
# then drops what is left of many: of the Hindi word for "day" nothing at all.
#
# Prints for each text, as code points, what re, regex and scikit-learn's default tokenizer find, and fails if any of them
# changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "scikit-learn==1.9.1" "regex==2026.11.19"
"$work/venv/bin/python" - > "$work/seen" <<'PY'
import re

import regex
from sklearn.feature_extraction.text import CountVectorizer

TEXTS = {
    "Hindi": "\u0926\u093f\u0928",
    "Thai": "\u0e19\u0e49\u0e33",
    "Tamil": "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd",
    "Hebrew": "\u05de\u05b4\u05dc\u05b4\u05bc\u05d9\u05dd",
    "Arabic": "\u0643\u0650\u062a\u064e\u0627\u0628",
    "French, composed": "caf\u00e9s",
    "French, combining": "cafe\u0301s",
}
tokens = CountVectorizer().build_tokenizer()
for name, text in TEXTS.items():
    for how, found in (("re", re.findall(r"\w+", text)), ("regex", regex.findall(r"\w+", text)), ("sklearn", tokens(text))):
        print(name, "|", how, "|", " ".join(ascii(token)[1:-1] for token in found) or "nothing")
PY
cat "$work/seen"
cat > "$work/expected" <<'OUT'
Hindi | re | \u0926 \u0928
Hindi | regex | \u0926\u093f\u0928
Hindi | sklearn | nothing
Thai | re | \u0e19 \u0e33
Thai | regex | \u0e19\u0e49\u0e33
Thai | sklearn | nothing
Tamil | re | \u0ba4\u0bae \u0bb4
Tamil | regex | \u0ba4\u0bae\u0bbf\u0bb4\u0bcd
Tamil | sklearn | \u0ba4\u0bae
Hebrew | re | \u05de \u05dc \u05d9\u05dd
Hebrew | regex | \u05de\u05b4\u05dc\u05b4\u05bc\u05d9\u05dd
Hebrew | sklearn | \u05d9\u05dd
Arabic | re | \u0643 \u062a \u0627\u0628
Arabic | regex | \u0643\u0650\u062a\u064e\u0627\u0628
Arabic | sklearn | \u0627\u0628
French, composed | re | caf\xe9s
French, composed | regex | caf\xe9s
French, composed | sklearn | caf\xe9s
French, combining | re | cafe s
French, combining | regex | cafe\u0301s
French, combining | sklearn | cafe
OUT
diff "$work/expected" "$work/seen"
