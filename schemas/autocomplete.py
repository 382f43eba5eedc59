"""The contracts of the autocomplete domain, from events of a query log to the released completer."""

from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Contract, Table, ascending
from fingerpost.schemas.matrices import tensor_table
from fingerpost.schemas.releases import MEMBERS

_USER = f.Field("user", f.STRING, "the keyed hash of the user's key; the key itself is stored nowhere", nonempty=True)
_GIVEN_SESSION = f.Field(
    "session", f.STRING, "the keyed hash of the session's key; empty where sessions are cut by time"
)
_TIME = f.Field("time", f.pa.int64(), "microseconds since 1970 in UTC; -1 where the input has no times")
_QUERY = f.Field("query", f.STRING, "the query's text, white space collapsed", nonempty=True)

_SPLIT = f.Field("split", f.STRING, "the split of a session: training, validation or test", nonempty=True)

EVENT_FIELDS = (_USER, _GIVEN_SESSION, _TIME, _QUERY)

EVENTS = Contract(
    "autocomplete.events",
    1,
    (Table("events", EVENT_FIELDS, holds_keys=("user", "session", "query"), spelled=("query",)),),
    "the accepted rows of a query log: who asked what, and when",
)
DAILY_EVENTS = Contract(
    "autocomplete.daily_events",
    1,
    (
        Table("events", EVENT_FIELDS, holds_keys=("user", "session", "query"), spelled=("query",)),
        Table("deleted", (_USER, _QUERY), key=("user", "query"), holds_keys=("user", "query"), spelled=("query",)),
    ),
    "the accepted rows of one day of a query log, and the users' queries that it withdraws",
)
SESSIONS = Contract(
    "autocomplete.sessions",
    1,
    (
        Table(
            "queries",
            (
                f.Field("query", f.STRING, "a distinct query: its most frequent spelling", nonempty=True),
                f.Field("key", f.STRING, "its matching key: spellings with the same key are one query"),
                f.Field("count", f.pa.int64(), "number of its events"),
                f.Field("users", f.pa.int64(), "number of distinct users who asked it"),
            ),
            holds_keys=("query",),
            spelled=("query",),
            forms=("key",),
        ),
        Table(
            "sessions",
            (
                f.Field("user", f.pa.uint32(), "the number of its user, by first appearance"),
                f.Field(
                    "start", f.pa.int64(), "the time of its first event, microseconds since 1970; -1 without times"
                ),
                _SPLIT,
            ),
        ),
        Table(
            "steps",
            (
                f.Field("session", f.pa.uint32(), "the row of its session"),
                f.Field("query", f.pa.uint32(), "the row of its query"),
                f.Field("time", f.pa.int64(), "microseconds since 1970; -1 without times"),
            ),
        ),
    ),
    "sessions of a query log: queries in order, without consecutive duplicates, each session with its split",
)
SUGGESTIONS = Contract(
    "autocomplete.suggestions",
    1,
    (
        Table(
            "suggestions",
            (
                f.Field("query", f.STRING, "its text, as shown", nonempty=True),
                f.Field("key", f.STRING, "its matching key; rows ascend by its UTF-8 bytes", nonempty=True),
                f.Field("users", f.pa.int64(), "number of distinct users who asked it"),
                f.Field("weight", f.pa.float32(), "its popularity: events, decayed by age", finite=True),
            ),
            rule=ascending("key"),
            holds_keys=("query",),
            spelled=("query",),
            forms=("key",),
        ),
    ),
    "the queries that may be suggested: asked by enough users, and not blocked",
)
PAIRS = Contract(
    "autocomplete.pairs",
    1,
    (
        Table(
            "pairs",
            (
                f.Field("session", f.pa.uint32(), "the row of its session"),
                f.Field("previous", f.pa.list_(f.pa.uint32()), "rows of the queries before, the most recent first"),
                f.Field("next", f.pa.uint32(), "the row of the next query"),
                f.Field("suggestion", f.pa.int32(), "the row of the next query among the suggestions; -1 for none"),
                f.Field("weight", f.pa.float32(), "its weight, decayed by age", finite=True),
                _SPLIT,
            ),
        ),
    ),
    "queries with those before them in their session",
)
TRIE = Contract(
    "autocomplete.trie", 1, (tensor_table("trie"),), "the trie over the matching keys of the suggestions, as arrays"
)
VOCABULARY = Contract(
    "autocomplete.vocabulary",
    1,
    (
        Table(
            "terms",
            (
                f.Field(
                    "family", f.STRING, "the family of features: of queries before, or of the prefix", nonempty=True
                ),
                f.TERM,
                f.IDF,
            ),
            parts=("term",),
        ),
        tensor_table("lookup"),
    ),
    "the features of queries before and of prefixes, in the order of their columns, and by number",
)
FOLLOWERS = Contract(
    "autocomplete.followers",
    1,
    (tensor_table("followers"),),
    "decayed counts of suggestions, and of suggestions that follow a query",
)
EVALUATION = Contract(
    "autocomplete.evaluation",
    1,
    (Table("figures", (f.METHOD, f.SETTING, f.METRIC, f.FIGURE), key=("method", "setting", "metric")),),
    "metrics of the completer and of baselines on test pairs, by length of the prefix, seen or unseen query before",
)
COMPARISON = Contract(
    "autocomplete.comparison",
    1,
    (Table("figures", (f.METHOD, f.SETTING, f.METRIC, f.FIGURE), key=("method", "setting", "metric")),),
    "the completer beside the same ranker with the default index, and nearest neighbours of the queries before",
)
WEAK_PREFIXES = Contract(
    "autocomplete.weak_prefixes",
    1,
    (
        Table(
            "prefixes",
            (
                f.Field("prefix", f.STRING, "the prefix, a matching key", nonempty=True),
                f.Field("pairs", f.pa.int64(), "number of test pairs whose next query begins with it"),
                f.Field("success_at_10", f.pa.float64(), "fraction of these with the query among ten suggestions"),
                f.Field("suggestions", f.pa.int64(), "number of suggestions that begin with it"),
            ),
            parts=("prefix",),
        ),
    ),
    "frequent prefixes without a good answer",
)
COMPLETER = Contract("autocomplete.completer", 1, (MEMBERS,), "a released completer: the artifacts that it consists of")

CONTRACTS = (
    EVENTS,
    DAILY_EVENTS,
    SESSIONS,
    SUGGESTIONS,
    PAIRS,
    TRIE,
    VOCABULARY,
    FOLLOWERS,
    EVALUATION,
    COMPARISON,
    WEAK_PREFIXES,
    COMPLETER,
)
