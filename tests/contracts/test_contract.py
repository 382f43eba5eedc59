"""Contracts: what each check says, and that every contract's tables can be written and read."""

import pyarrow as pa
import pytest

from fingerpost.flows import domains
from fingerpost.schemas import corpus, xmr
from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Contract, Table, ascending, same_lengths
from fingerpost.schemas.errors import ContractError, UnsafeNameError
from fingerpost.schemas.fields import Field

CONTRACTS = tuple(domains.contracts().values())
THINGS = Table(
    "things",
    (
        f.ID,
        Field("count", pa.int64(), "a count"),
        Field("note", pa.string(), "a note", nullable=True),
        Field("score", pa.float64(), "a score", finite=True),
        Field("place", pa.float32(), "a place", vector=True, finite=True),
        Field("left", pa.list_(pa.int32()), "left"),
        Field("right", pa.list_(pa.int32()), "right"),
    ),
    key=("id", "count"),
    rule=same_lengths("left", "right"),
)


def good(**changes: pa.Array) -> pa.Table:
    columns = {
        "id": pa.array(["a", "b"]),
        "count": pa.array([1, 2], pa.int64()),
        "note": pa.array([None, ""]),
        "score": pa.array([0.5, -1.0]),
        "place": pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3, 4], pa.float32()), 2),
        "left": pa.array([[1], []], pa.list_(pa.int32())),
        "right": pa.array([[2], []], pa.list_(pa.int32())),
    }
    return pa.table(columns | changes)


def places(*values: float | None) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values, pa.float32()), 2)


def test_a_good_table_passes_unchanged() -> None:
    table = good()
    assert THINGS.check(table, where="here") is table
    assert THINGS.check(table.slice(0, 0), where="here").num_rows == 0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            good().drop_columns(["note"]),
            r"here: expected columns \['id', 'count', 'note'.*found columns \['id', 'count', 'score'",
        ),
        (good().append_column("more", pa.array([1, 2])), r"found columns \[.*'right', 'more'\]"),
        (good().select(["count", "id", "note", "score", "place", "left", "right"]), r"found columns \['count', 'id'"),
        (good(count=pa.array([1, 2], pa.int32())), r"here, column 'count': expected type int64, found type int32"),
        (
            good(id=pa.array(["a", "b"], pa.large_string())),
            r"column 'id': expected type string, found type large_string",
        ),
        (
            good(place=pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32()))),
            r"column 'place': expected type fixed_size_list<float>, found type list<",
        ),
        (
            good(place=pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2, 3, 4]), 2)),
            r"column 'place': expected type fixed_size_list<float>, found type fixed_size_list<.*double",
        ),
        (good(count=pa.array([1, None], pa.int64())), r"column 'count': expected no nulls, found 1 nulls"),
        (good(id=pa.array(["a", ""])), r"column 'id': expected no empty strings, found 1 of them"),
        (
            good(score=pa.array([float("nan"), float("inf")])),
            r"column 'score': expected finite numbers, found 2 that are NaN or infinite",
        ),
        (good(place=places(1, 2, float("nan"), 4)), r"column 'place': expected finite numbers, found 1 that are NaN"),
        (good(place=places(1, 2, None, 4)), r"column 'place': expected finite numbers, found 1 that are NaN"),
        (
            good(id=pa.array(["a", "a"]), count=pa.array([1, 1], pa.int64())),
            r"here: expected unique id, count, found 2 rows with \{'id': 'a', 'count': 1\}",
        ),
        (
            good(left=pa.array([[1], [2]], pa.list_(pa.int32()))),
            r"expected consistent columns, found 1 rows in which 'left' and 'right' differ in length",
        ),
    ],
)
def test_what_each_check_says(table: pa.Table, message: str) -> None:
    with pytest.raises(ContractError, match=message) as caught:
        THINGS.check(table, where="here")
    assert str(caught.value).endswith("; fix the producer, or rebuild the artifact")


@pytest.mark.parametrize("keys", [[], ["a"], ["a", "b", "é"], ["Z", "a", "\uffff", "\U00010000"]])
def test_rows_may_be_required_to_ascend_by_a_column(keys: list[str]) -> None:
    table = Table("sorted", (f.ID,), rule=ascending("id"))
    halves = [pa.table({"id": pa.array(half, pa.string())}) for half in (keys[:1], keys[1:])]
    assert table.check(pa.concat_tables(halves), where="here").num_rows == len(keys)
    for wrong in (keys[::-1], [*keys, *keys[-1:]]):
        if wrong != keys:
            with pytest.raises(ContractError, match="rows whose 'id' is not greater than the one before"):
                table.check(pa.table({"id": pa.array(wrong, pa.string())}), where="here")


def test_a_key_is_what_all_its_columns_say() -> None:
    assert THINGS.check(good(id=pa.array(["a", "a"])), where="here").num_rows == 2


def test_checks_look_into_every_chunk() -> None:
    table = pa.concat_tables([good(), good(id=pa.array(["c", "d"]), score=pa.array([1.0, float("inf")]))])
    with pytest.raises(ContractError, match="'score': expected finite numbers, found 1"):
        THINGS.check(table, where="here")


def test_a_contract_knows_its_tables() -> None:
    contract = Contract("test.things", 3, (THINGS,), "things")
    assert contract.table("things") is THINGS
    assert contract.schema()["things"]["place"] == "fixed_size_list<float>"
    with pytest.raises(
        ContractError, match=r"test.things: expected one of the tables \['things'\], got 'others'; use one of them"
    ):
        contract.table("others")
    with pytest.raises(UnsafeNameError, match=r"contract: expected lower-case letters.*got '../things'"):
        Contract("../things", 1, (THINGS,), "things")


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)
def test_every_contract_is_named_for_its_domain_and_describes_its_columns(contract: Contract) -> None:
    assert contract.name.split(".")[0] in {domain.word for domain in domains.DOMAINS}
    assert contract.about
    assert contract.readable_from <= contract.version
    for table in contract.tables:
        assert len({field.name for field in table.fields}) == len(table.fields)
        assert all(field.about for field in table.fields)
        assert set(table.key) <= {field.name for field in table.fields}
        empty = pa.table({c.name: pa.array([], pa.list_(c.type, 3) if c.vector else c.type) for c in table.fields})
        assert table.check(empty, where="empty").num_rows == 0


def test_contract_names_are_unique() -> None:
    assert len({contract.name for contract in CONTRACTS}) == len(CONTRACTS)


def test_a_finite_column_that_may_have_nulls_may_have_them() -> None:
    table = Table("shares", (Field("share", pa.float64(), "a share", nullable=True, finite=True),))
    table.check(pa.table({"share": pa.array([0.5, None])}), where="here")
    with pytest.raises(ContractError, match="column 'share': expected finite numbers, found 1 that are NaN"):
        table.check(pa.table({"share": pa.array([0.5, None, float("nan")])}), where="here")


#: Columns of texts in which no key of a user's stands that could be forgotten, or (targets, elsewhere) one of a row that goes with
#: the keys of the same file. The label of an embedding is its class; one of interactions is a key. Of graphs the ids of
#: entities are keys: their types, names and values go with these (a value that says the id of another is left out with it),
#: and the ids of joined entities are made up.
NO_KEYS = {
    # A digest of a query and its judgements, which goes with the documents and queries that it is of.
    "ann.judgement.judged",
    # tuning or judging
    "ann.judged.purpose",
    # What was chosen of settings, with the reason: names, numbers and languages, no texts of documents.
    "ann.certificate.value",
    "ann.certificate.plan",
    "ann.tuning.part",
    "ann.tuning.value",
    "corpus.analyzer.value",
    "corpus.field_weights.part",
    "corpus.field_weights.value",
    "attribute",
    "day",
    "detail",
    "dtype",
    "elsewhere",
    "family",
    "group",
    "kg.calibration.population",
    "kg.calibration.target",
    "kg.clusters.after",
    "kg.clusters.before",
    "kg.clusters.cluster",
    "kg.clusters.event",
    "kg.graph.datatype",
    "kg.graph.key",
    "kg.graph.language",
    "kg.graph.type",
    "kg.graph.value",
    "kg.index.type",
    "kg.joined.datatype",
    "kg.joined.key",
    "kg.joined.language",
    "kg.joined.rule",
    "kg.joined.type",
    "kg.joined.value",
    "kg.links.source",
    "kg.review.left_name",
    "kg.review.right_name",
    "kind",
    "measure",
    "method",
    "metric",
    "metric.daily_embeddings.label",
    "metric.embeddings.label",
    "metric.images.label",
    "model",
    "name",
    "names",
    # Of networks, devices and searches; an image's key is its id, its label the name of a class.
    "nas.images.label",
    "nas.landscape.axis",
    "nas.landscape.space",
    "nas.measured.architecture",
    "nas.measurements.architecture",
    "nas.measurements.description",
    "nas.measurements.value",
    "nas.patterns.edit",
    "nas.patterns.where",
    "nas.search.architecture",
    "nas.search.description",
    "nas.search.origin",
    "nas.trained.architecture",
    "nas.trained.description",
    "nas.trained.sha256",
    "package",
    "query",
    "rate",
    "reason",
    "ref",
    "role",
    "setting",
    "side",
    "signature",
    "split",
    "targets",
    "term",
    "text",
    "title",
}


def uncovered(contracts: tuple[Contract, ...]) -> list[str]:
    """The columns of texts that are neither declared to hold keys nor known to hold none."""
    return [
        f"{contract.name}, table {table.name}: {column.name}"
        for contract in contracts
        for table in contract.tables
        for column in table.fields
        if column.type in (pa.string(), pa.large_string(), pa.list_(pa.string()))
        and not {column.name, f"{contract.name}.{column.name}"}
        & {*table.key_columns, *table.forms, *table.parts, *table.terms, *NO_KEYS}
    ]


def test_every_column_that_may_hold_a_key_is_declared() -> None:
    """A new column of texts is put into `holds_keys`, `forms` or `parts` of its table, or into NO_KEYS with a thought."""
    assert uncovered(CONTRACTS) == []
    entity = Table("links", (f.ID, Field("entity", f.STRING, "the user's key of an entity")))
    assert uncovered((Contract("kg.links", 1, (entity,), "links"),)) == ["kg.links, table links: entity"]
    declared = Table("links", entity.fields, holds_keys=("id", "entity"))
    assert uncovered((Contract("kg.links", 1, (declared,), "links"),)) == []


def test_a_table_names_the_columns_in_which_keys_stand() -> None:
    assert THINGS.key_columns == ("id",)
    assert xmr.INTERACTIONS.table("queries").key_columns == ("id", "text")
    assert corpus.QUARANTINE.table("rows").key_columns == ("id",)
    assert corpus.VOCABULARY.table("terms").key_columns == ()
    for contract in CONTRACTS:
        for table in contract.tables:
            assert {*table.key_columns, *table.forms, *table.parts, *table.terms} <= {
                column.name for column in table.fields
            }
            assert set(table.spelled) <= set(table.key_columns)
