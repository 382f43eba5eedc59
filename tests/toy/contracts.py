"""The contracts of the toy domain."""

from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Contract, Table

WORDS = Contract("toy.words", 1, (Table("words", (f.ID, f.TEXT), key=("id",)),), "words with their meanings")
LENGTHS = Contract(
    "toy.lengths",
    1,
    (Table("lengths", (f.ID, f.Field("length", f.pa.int64(), "characters of the meaning")), key=("id",)),),
    "how long the meaning of each word is",
)
GLOSSARY = Contract("toy.glossary", 1, (Table("members", (f.ROLE, f.REFERENCE), key=("role",)),), "a glossary")

CONTRACTS = (WORDS, LENGTHS, GLOSSARY)
