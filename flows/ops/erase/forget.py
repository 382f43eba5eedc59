"""Erasure of a document, a query or a label from inputs, quarantine and all versions, with a proof of absence.

The steps, each of which can be repeated safely: list what contains the key in a sealed journal; suppress the key;
remove it from the input files; rerun the affected runs, oldest first; move pointers and pins to the new versions;
remove the old ones; clean records and reports; search everything. If it is killed, the same command continues.
"""

import json
import secrets
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import named
from fingerpost.flows.ops.erase.absence import Absence, Needles, digest_of_texts, needles_of, search
from fingerpost.flows.ops.erase.affected import (
    Affected,
    Inventory,
    RerunPlan,
    affected_by,
    merged_from,
    request_of,
    tables_with_keys,
    texts_in,
    used_by,
    wanted_keys,
)
from fingerpost.flows.ops.erase.former import current
from fingerpost.flows.ops.erase.inputs import InputFile, wanted_in
from fingerpost.flows.ops.erase.terms import distinct_terms
from fingerpost.flows.ops.erase.traces import clean_records, remove_artifacts
from fingerpost.flows.run.rewriting import Rewriting, rewriting
from fingerpost.flows.run.section import SettingsError
from fingerpost.flows.run.server import own_server
from fingerpost.schemas import files as _files
from fingerpost.schemas.errors import (
    ContractError,
    CorruptArtifactError,
    FingerpostError,
    ForeignArtifactError,
    InputError,
    MissingArtifactError,
    StoreBusyError,
)
from fingerpost.schemas.forgotten import Journal, checked_key, now, salt_of, save_proof
from fingerpost.schemas.inputs.limits import UNLIMITED, limited
from fingerpost.schemas.inputs.rewriting import count_rows, remove_rows
from fingerpost.schemas.inputs.stored_days import StoredDays
from fingerpost.schemas.leases import at_work, collecting, lease
from fingerpost.schemas.pins import pin, pins, unpin
from fingerpost.schemas.publish import Pointer, products
from fingerpost.schemas.refs import Ref
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs

#: Errors for which a version cannot be rebuilt at all; any other error stops the job until it is fixed.
_FINAL = (InputError, SettingsError, ContractError, CorruptArtifactError, ForeignArtifactError, MissingArtifactError)


@dataclass(frozen=True)
class Outcome:
    """The outcome of an erasure: the stored proof and its path."""

    proof: dict[str, Any]
    path: str

    @property
    def clean(self) -> bool:
        """Whether the search found nothing."""
        return not self.proof["findings"]


def listing(store: Store, key: str, collection: str) -> Affected:
    """What forgetting would affect; of an interrupted job, what it started with."""
    key = checked_key(key)
    journal = Journal(store, collection, key)
    saved = journal.load()
    return _affected(saved["affected"]) if saved else affected_by(store, key, collection)


def forget(store: Store, key: str, collection: str, *, say: Callable[[str], None] = lambda line: None) -> Outcome:
    """Forgets a document, query or label of a collection, or continues an interrupted erasure.

    StoreBusyError while a run is at work in the store. A version that cannot be rebuilt (InputError and the like) is
    lost; other errors are raised.
    """
    key = checked_key(key)
    busy = at_work(store)
    if busy:
        raise StoreBusyError(
            f"store {store.url}: expected no run at work while something is forgotten, found {busy[0]}; wait for it and"
            " run the command again"
        )
    with lease(store, f"forget-{secrets.token_hex(4)}", flow="forget", collection=collection) as own:
        return _Job(store, key, collection, own.run, say).run()


class _Job:
    """The erasure of one key; ``state`` is stored in the journal."""

    def __init__(self, store: Store, key: str, collection: str, own: str, say: Callable[[str], None]) -> None:
        self.store, self.key, self.collection, self.own, self.say = store, key, collection, own, say
        self.journal = Journal(store, collection, key)

    def run(self) -> Outcome:
        """All steps, from the one that the journal names."""
        from fingerpost.flows.run.start import check_server

        # Before the inputs are changed: the days to be rerun need it.
        check_server()
        self.state = self.journal.load() or self._begin()
        self.affected = _affected(self.state["affected"])
        salt_of(self.store)  # there from now on, so that all that follows compares by the same hashes
        self.wanted = wanted_keys(self.store, self.key)
        self.needles = Needles(
            self.key,
            tuple(self.state["needles"]),
            self.state["shared"],
            tuple(self.state.get("parts", ())),
            tuple(self.state.get("terms", ())),
            self.wanted,
        )
        for name in self.affected.collections:
            domains.forgotten(self.store, name).add(self.key)
        _files.reached("forget-suppressed")
        self._inputs()
        # One server for all of them.
        with own_server() if self.affected.reruns else nullcontext():
            for plan in self.affected.reruns:
                if plan.run not in self.state["made"] and plan.run not in self.state["failed"]:
                    self._rerun(plan)
        self._move()
        _files.reached("forget-moved")
        removed = self._remove()
        return self._prove(removed)

    def _begin(self) -> dict[str, Any]:
        affected = affected_by(self.store, self.key, self.collection)
        inventory = Inventory(self.store)
        # Artifacts made from one that contains the key repeat its texts, but for rows of inputs of their own; they are
        # removed completely.
        made = {
            ref
            for ref in set(affected.condemned) - set(affected.holders)
            if not any("source" in given for given in inventory.manifests[ref].identity["inputs"].values())
        }
        tables = {
            path: table
            for ref in inventory.of(affected.collections)
            if ref not in made
            for said in ("text", "names", "query")
            for path, table in tables_with_keys(ref, inventory.manifests[ref], also=[said]).items()
        }
        said = [json.dumps({**record, "error": ""}).encode() for record in inventory.records]
        said += [manifest.encode() for manifest in inventory.manifests.values()]
        wanted = wanted_keys(self.store, self.key)
        others = (
            text
            for ref in inventory.of(affected.collections)
            if ref not in made
            for text in texts_in(self.store, ref, wanted).others
        )
        everywhere = [ref for ref in inventory.manifests if ref not in made]
        terms = distinct_terms(self.store, wanted, affected.holders, everywhere)
        needles = needles_of(self.store, wanted, self.key, affected.texts, tables, said, others=others, terms=terms)
        state = {
            "affected": {**asdict(affected), "texts": []},
            "needles": list(needles.distinct),
            "shared": needles.shared,
            "parts": list(needles.parts),
            "terms": list(needles.terms),
            "made": {},
            "failed": {},
            "files": [],
            "notes": [],
            "removed": 0,
            "freed": 0,
            "at": now(),
        }
        self.journal.save(state)
        _files.reached("forget-listed")
        return state

    def _inputs(self) -> None:
        """Removes rows from the files; one that cannot be written is named, and its rows are suppressed when read."""
        for file in self.affected.inputs:
            try:
                with limited(UNLIMITED):
                    rows = remove_rows(Path(file.path), file.columns, self.wanted, domains.form_of(file.form))
            except (InputError, OSError) as problem:
                self._note(f"not rewritten: {problem}")
                continue
            if rows:
                self.say(f"input  {file.path}: {rows} row(s) removed")
                self.state["files"].append(file.path)
                self.journal.save(self.state)
            _files.reached("forget-input")

    def _rerun(self, plan: RerunPlan) -> None:
        """Reruns one run and records which artifact replaced which."""
        from fingerpost.flows.run.start import run_flow

        record = next((r for r in runs(self.store, newest=1_000_000) if r["id"] == plan.run), None)
        try:
            if record is None:
                raise MissingArtifactError(f"run {plan.run}: expected its record, found none")
            token = rewriting.set(self._rewriting(plan))
            try:
                report = run_flow(plan.flow, request_of(record, self.store), quiet=True)
            finally:
                rewriting.reset(token)
            made = next(r for r in runs(self.store, newest=50) if r["id"] == Path(report).stem)
        except _FINAL as problem:
            self.state["failed"][plan.run] = str(problem)
            self._note(f"{plan.day}: {plan.flow} cannot be rerun: {problem}")
            return
        pairs = {old: new for old, new in counterparts(record, made).items() if old in self.affected.condemned}
        if same := [ref for ref in pairs.values() if ref in self.affected.condemned]:
            raise FingerpostError(
                f"{plan.day}: expected new versions without it, found {same[0]} again; nothing was removed: check"
                " its input"
            )
        self.state["made"][plan.run] = pairs
        self.journal.save(self.state)
        self.say(f"rerun  {plan.flow} {plan.collection} {plan.day}: {len(pairs)} artifact(s) rewritten")
        _files.reached("forget-rerun")

    def _rewriting(self, plan: RerunPlan) -> Rewriting:
        sources = {
            word: StoredDays(self.store, Ref.parse(made), self.wanted)
            if merged_from(self.store, made := plan.imported[word])
            else named(domains.domain_of(word).stored)(self.store, Ref.parse(made), self.wanted)
            for word in plan.stored
        }
        return Rewriting(sources, frozenset(plan.left))

    @property
    def _replaced(self) -> dict[str, str]:
        return {old: new for pairs in self.state["made"].values() for old, new in pairs.items()}

    def _move(self) -> None:
        """Moves pointers and pins to the new versions."""
        replaced, condemned = self._replaced, self.affected.condemned
        failed = "; ".join(dict.fromkeys(self.state["failed"].values())).replace(self.key, "[forgotten]")
        lost = {
            ref: self.affected.lost.get(ref) or failed or "it was not rebuilt"
            for ref in condemned
            if ref not in replaced
        }
        for name, product in products(self.store):
            move = Pointer(self.store, name, product).forget(replaced, lost, reason="its contents were forgotten")
            if move is not None:
                what = "nothing is live" if move.action == "withdraw" else f"{move.ref} is live"
                self.say(f"moved  {name}/{product}: {what}, generation {move.generation}")
        for old in pins(self.store):
            if old.ref in condemned:
                if old.ref in replaced:
                    pin(self.store, Ref.parse(replaced[old.ref]), reason=old.reason)
                unpin(self.store, Ref.parse(old.ref))

    def _remove(self) -> int:
        """Removes the old versions, whatever keeps other artifacts; then cleans records and reports of them."""
        with collecting(self.store) as held:
            others = [found for found in at_work(self.store) if found.run != self.own]
            if others:
                raise StoreBusyError(
                    f"store {self.store.url}: expected no run at work while old versions are removed, found"
                    f" {others[0]}; wait for it and run again"
                )
            held.check()
            gone, freed = remove_artifacts(self.store, self.affected.condemned)
            self.state["removed"], self.state["freed"] = self.state["removed"] + gone, self.state["freed"] + freed
            self.journal.save(self.state)
            _files.reached("forget-removed")
            clean_records(self.store, set(self.affected.condemned), self.needles)
            _files.reached("forget-cleaned")
        return int(self.state["removed"])

    def _prove(self, removed: int) -> Outcome:
        found: Absence = search(self.store, self.needles, leave_out=self._of_others())
        proof = {
            "collection": self.collection,
            "collections": self.affected.collections,
            "key_hmac": self.journal.digest,
            "searched_for": digest_of_texts(self.needles, salt_of(self.store)),
            "texts": len(self.needles.distinct),
            "texts_shared_with_others": self.needles.shared,
            "key_as_bytes": self.key in self.needles.distinct,
            "files": found.files,
            "bytes": found.bytes,
            "parquet_decoded": found.decoded,
            "files_of_other_collections": found.left_out,
            "findings": found.findings,
            "artifacts_removed": removed,
            "bytes_freed": self.state["freed"],
            "days_made_again": self.affected.days,
            "inputs_rewritten": len(set(self.state["files"])),
            "inputs_that_still_hold_it": self._left_in_inputs(),
            "versions_lost": len(self.state["failed"]),
            "notes": [note.replace(self.key, "[forgotten]") for note in self.state["notes"]],
            "began": self.state["at"],
            "at": now(),
        }
        path = save_proof(self.store, self.collection, self.journal.digest, proof)
        if not found.findings:
            self.journal.remove()
        return Outcome(proof, path)

    def _left_in_inputs(self) -> int:
        """The number of input files that could not be rewritten; their rows are left out when they are read."""
        wanted, left = self.wanted, 0
        for file in self.affected.inputs:
            try:
                path, form = Path(file.path), domains.form_of(file.form)
                with limited(UNLIMITED):
                    left += bool(path.exists() and count_rows(path, file.columns, wanted, form))
            except InputError:
                left += wanted_in(Path(file.path), wanted)
        return left

    def _of_others(self) -> set[str]:
        """The files that only other collections use."""
        inventory, ours = Inventory(self.store), set[str]()
        kept = set(inventory.of(self.affected.collections))
        for ref in kept:
            ours |= {entry.path for entry in inventory.manifests[ref].files}
        theirs = {entry.path for ref in set(inventory.manifests) - kept for entry in inventory.manifests[ref].files}
        theirs |= {f"{ref}/manifest.json" for ref in set(inventory.manifests) - kept}
        for record in inventory.records:
            if record["collection"] not in self.affected.collections and not set(used_by(record)) & kept:
                theirs |= {f".runs/{record['id']}.json", f"reports/{record['id']}.html"}
        return theirs - ours

    def _note(self, text: str) -> None:
        if text not in self.state["notes"]:
            self.say(text)
            self.state["notes"].append(text)
            self.journal.save(self.state)


def _affected(saved: dict[str, Any]) -> Affected:
    touched = current(saved)
    plans = [RerunPlan(**plan) for plan in touched["reruns"]]
    return Affected(**{**touched, "inputs": [InputFile(**file) for file in touched["inputs"]], "reruns": plans})


def counterparts(record: dict[str, Any], made: dict[str, Any]) -> dict[str, str]:
    """The artifacts of a run by those of an earlier run that they replace.

    Those of the same role, else of the same stage where each run has it once.
    """
    pairs: dict[str, str] = {}
    once = []
    for run in (record, made):
        names = Counter(stage["stage"] for stage in run["stages"])
        once.append({stage["stage"]: stage["ref"] for stage in run["stages"] if names[stage["stage"]] == 1})
    for old, new in (once, (record["refs"], made["refs"])):
        pairs |= {ref: new[name] for name, ref in old.items() if name in new}
    return pairs


def summary(touched: Affected) -> list[str]:
    """What forgetting would affect, as lines of text."""
    if touched.nothing:
        lines = [f"{touched.key}: neither an input nor an artifact of {', '.join(touched.collections)} contains it"]
    else:
        lines = [f"{touched.key} of {', '.join(touched.collections)}:"]
    for file in touched.inputs:
        what = "" if file.form.endswith("documents") else f" of {file.form}"
        lines.append(f"input  {file.path}: {file.rows} row(s){what}{f'; {file.problem}' if file.problem else ''}")
    for ref, rows in touched.holders.items():
        lines.append(f"holds  {ref}: {rows} row(s)")
    if touched.condemned:
        lines.append(f"remove {len(touched.condemned)} artifact(s): these and all that were made from them")
    for plan in touched.reruns:
        stored = bool(plan.stored)
        source = "the stored artifact of its input" if stored else "its input"
        lines.append(f"rerun  {plan.flow} {plan.collection} {plan.day} from {source}, about {plan.seconds:.1f} s")
    if touched.reruns:
        lines.append(f"rerun  {len(touched.days)} day(s), about {touched.seconds:.1f} s in all")
    lines += [f"moved  {publication}" for publication in touched.publications]
    lines += [f"lost   {ref}: {why}" for ref, why in touched.lost.items()]
    lines += [
        f"kept   collection {name} contains that id too; forget it there with --collection {name}"
        for name in touched.others
    ]
    return lines
