"""Releases: published artifacts with a table of their members, and its only reader."""

from collections.abc import Callable, Mapping

import pyarrow as pa

from fingerpost.schemas import fields as f
from fingerpost.schemas.contract import Contract, Table
from fingerpost.schemas.errors import ForeignArtifactError
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Artifact, Store

#: The table that the contract of every release has.
MEMBERS = Table("members", (f.ROLE, f.REFERENCE), key=("role",))


def members_table(members: Mapping[str, Ref]) -> pa.Table:
    """The rows (role, ref) of a release's members, in their order."""
    return pa.table(
        {
            "role": pa.array(list(members), pa.string()),
            "ref": pa.array([str(ref) for ref in members.values()], pa.string()),
        }
    )


def read_members(store: Store, ref: Ref) -> dict[str, Ref]:
    """The members of a release by role, in stored order.

    For a release whose contract did not have the table yet they are derived from the manifests of its inputs.
    ForeignArtifactError for an artifact that is not a release.
    """
    manifest = store.manifest(ref)
    store.opened.add(str(ref))
    if not any(entry.table == MEMBERS.name for entry in manifest.files):
        if ref.name not in _WITHOUT_TABLE:
            tables = ", ".join(sorted({entry.table for entry in manifest.files})) or "none"
            raise ForeignArtifactError(
                f"artifact {ref}: expected a release with a table '{MEMBERS.name}', found the tables {tables}; name a"
                " release, see `fingerpost status`"
            )
        return _WITHOUT_TABLE[ref.name](store, manifest)
    contract = Contract(ref.name, manifest.identity["contract"]["version"], (MEMBERS,), "a release")
    rows = Artifact(store, ref, contract, manifest).read(MEMBERS.name)
    return {role: Ref.parse(text) for role, text in zip(rows["role"].to_pylist(), rows["ref"].to_pylist(), strict=True)}


def _inputs(manifest: Manifest) -> dict[str, Ref]:
    """The artifacts among an artifact's inputs, by name."""
    return {name: Ref.parse(entry["ref"]) for name, entry in manifest.identity["inputs"].items() if "ref" in entry}


def _threshold_members(store: Store, manifest: Manifest) -> dict[str, Ref]:
    """The members of a threshold of contract version 1 or 2."""
    own = _inputs(manifest)
    test_pairs = _inputs(store.manifest(own["assessment"]))["test"]
    trained = _inputs(store.manifest(own["vectors"]))
    members = {
        "validation_pairs": own["histograms"],
        "vectors": own["vectors"],
        "documents": own["documents"],
        "assessment": own["assessment"],
        "retrieval": own["retrieval"],
        "validation_rows": _inputs(store.manifest(own["histograms"]))["rows"],
        "test_rows": _inputs(store.manifest(test_pairs))["rows"],
        "test_pairs": test_pairs,
    }
    if "embedders" in trained:
        margins = _inputs(store.manifest(trained["embedders"])).get("margins_00")
        members |= {"margins": margins} if margins is not None else {}
        members |= {"embedders": trained["embedders"], "comparison": trained["comparison"]}
    return members


#: Functions that derive the members of releases whose contract did not have the table yet.
_WITHOUT_TABLE: dict[str, Callable[[Store, Manifest], dict[str, Ref]]] = {"metric.threshold": _threshold_members}
