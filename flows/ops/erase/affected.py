"""What contains a key: inputs and artifacts, everything made from these, and the runs that must be rerun.

Reads only; changes nothing.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from typing import Any

from fingerpost.flows import domains
from fingerpost.flows.domains.domain import named
from fingerpost.flows.ops.erase.inputs import InputFile, inputs_with, texts_of
from fingerpost.flows.run.profiles import advice_about, in_force, load_settings, profile_names, renamed
from fingerpost.flows.run.request import OF_ANY_RUN, RunRequest
from fingerpost.schemas.contract import Table
from fingerpost.schemas.decoding import columns_of
from fingerpost.schemas.errors import FingerpostError
from fingerpost.schemas.forgotten import known_salt
from fingerpost.schemas.inputs.days import DAY
from fingerpost.schemas.inputs.stored import KeyTexts, holding
from fingerpost.schemas.inputs.stored_days import days_of
from fingerpost.schemas.inputs.suppression import Suppressed
from fingerpost.schemas.manifests import Manifest
from fingerpost.schemas.publish import Pointer, products
from fingerpost.schemas.records import leave_out
from fingerpost.schemas.refs import Ref, digest_of
from fingerpost.schemas.store import Store
from fingerpost.tasks.ledger import runs

#: The salt of a search for one key, for which the store's own salt is not needed yet.
_ANY_SALT = b"looking"


@dataclass(frozen=True)
class RerunPlan:
    """A run to be rerun for its day.

    imported: the artifact of each domain's imported input, by domain; of several inputs the one that is made of the others.
    stored: domains that read this artifact, because their input is missing.
    left: domains that are left out: nothing of theirs is forgotten, and their input is missing.
    seconds: the time that the artifacts to be replaced took to make.
    """

    run: str
    flow: str
    collection: str
    day: str
    seconds: float
    imported: dict[str, str] = field(default_factory=dict)
    stored: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


@dataclass
class Affected:
    """Everything that contains a key in the store and inputs of a collection, and of those that share artifacts."""

    key: str
    collections: list[str]
    inputs: list[InputFile] = field(default_factory=list)
    holders: dict[str, int] = field(default_factory=dict)
    condemned: list[str] = field(default_factory=list)
    reruns: list[RerunPlan] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)
    publications: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        """Whether neither an input nor an artifact contains the key."""
        return not self.condemned and not any(file.rows for file in self.inputs)

    @property
    def days(self) -> list[str]:
        """The days that are rerun."""
        return sorted({plan.day for plan in self.reruns})

    @property
    def seconds(self) -> float:
        """The time in seconds that the replaced artifacts took to make."""
        return sum(plan.seconds for plan in self.reruns)


class Inventory:
    """The manifests and run records of a store, and the collections that use each artifact."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.manifests: dict[str, Manifest] = {}
        for committed in store.refs():
            try:
                self.manifests[str(committed)] = store.manifest(committed)
            except FingerpostError as problem:
                # Nothing was made from it since; its files are searched undecoded.
                leave_out(problem)
        self.records = sorted(
            runs(store, newest=1_000_000), key=lambda record: (record["day"], record["at"], record["id"])
        )
        self.users: dict[str, set[str]] = {ref: set() for ref in self.manifests}
        for record in self.records:
            for ref in used_by(record):
                self.users.setdefault(ref, set()).add(record["collection"])
        for made, manifest in self.manifests.items():
            maker = {str(manifest.run["collection"])} if "collection" in manifest.run else set()
            for one in (made, *companions_of(manifest)):
                self.users.setdefault(one, set()).update(maker)

    def of(self, collections: Iterable[str]) -> list[str]:
        """The artifacts that one of the collections uses, and those that none uses."""
        wanted = set(collections)
        return [ref for ref in self.manifests if not self.users[ref] or self.users[ref] & wanted]

    def downstream(self, starts: Iterable[str]) -> set[str]:
        """These artifacts, everything made from them, and the companions of all of these."""
        users: dict[str, set[str]] = {}
        for ref, manifest in self.manifests.items():
            for given in manifest.identity["inputs"].values():
                if "ref" in given:
                    users.setdefault(given["ref"], set()).add(ref)
            for companion in companions_of(manifest):
                users.setdefault(companion, set()).add(ref)
                users.setdefault(ref, set()).add(companion)
        found, waiting = set[str](), list(starts)
        while waiting:
            ref = waiting.pop()
            if ref not in found:
                found.add(ref)
                waiting += users.get(ref, ())
        return found & set(self.manifests)


def wanted_keys(store: Store, key: str) -> Suppressed:
    """The search for one key, in every form in which the store and inputs may have it."""
    return Suppressed.of([key], known_salt(store) or _ANY_SALT, spelled=domains.spelling())


def affected_by(store: Store, key: str, collection: str) -> Affected:
    """What forgetting a document, query or label of a collection affects."""
    inventory, wanted = Inventory(store), wanted_keys(store, key)
    found = Affected(key, [collection])
    while True:
        found.holders, found.texts = _holders(inventory, wanted, inventory.of(found.collections))
        condemned = inventory.downstream(found.holders)
        sharing = sorted(set().union(*(inventory.users[ref] for ref in condemned)) | set(found.collections))
        if sharing == sorted(found.collections):
            break
        found.collections = sharing
    found.condemned = sorted(condemned)
    ours = [record for record in inventory.records if record["collection"] in found.collections]
    found.inputs = inputs_with(ours, wanted, found.texts)
    _choose_runs(inventory, found, ours)
    found.publications = [
        f"{name}/{product}: {len(hit)} of {len(line)} version(s)"
        + (", including the live one" if line[-1].ref in condemned else "")
        for name, product in products(store)
        if (line := Pointer(store, name, product).line()) and (hit := [move for move in line if move.ref in condemned])
    ]
    elsewhere = set(inventory.manifests) - set(inventory.of(found.collections))
    found.others = sorted(set().union(*(inventory.users[ref] for ref in _holders(inventory, wanted, elsewhere)[0])))
    return found


def _holders(inventory: Inventory, wanted: Suppressed, refs: Iterable[str]) -> tuple[dict[str, int], list[str]]:
    """The artifacts with rows of the key, their number of rows, and the texts of those rows."""
    found, texts, seen = dict[str, int](), dict[str, None](), dict[str, int]()
    for ref in sorted(refs):
        for path, table in tables_with_keys(ref, inventory.manifests[ref]).items():
            if path not in seen:
                try:
                    rows = rows_about(inventory.store.files.read(path), wanted, table, where=path)
                except FileNotFoundError:
                    rows = []
                seen[path] = len(rows)
                texts |= dict.fromkeys(text for row in rows for text in texts_of(row, wanted))
            if seen[path]:
                found[ref] = found.get(ref, 0) + seen[path]
        if ref in found:
            texts |= dict.fromkeys(texts_in(inventory.store, ref, wanted).own)
    return found, list(texts)


def texts_in(store: Store, ref: str, wanted: Suppressed) -> KeyTexts:
    """The texts of a key in an artifact, and those of others, that are in other tables than keys are."""
    owner = next((domain for domain in domains.DOMAINS if domain.texts and ref.startswith(f"{domain.word}.")), None)
    try:
        found: KeyTexts = named(owner.texts)(store, Ref.parse(ref), wanted) if owner is not None else KeyTexts()
    except FingerpostError as problem:
        leave_out(problem)  # its files are searched undecoded
        return KeyTexts()
    return found


def tables_with_keys(ref: str, manifest: Manifest, also: Iterable[str] = ()) -> dict[str, Table]:
    """The files of an artifact whose rows have keys, and the columns ``also``, with their tables in the contract."""
    contract, schema, found = Ref.parse(ref).name, manifest.identity["schema"], dict[str, Table]()
    for entry in manifest.files:
        table, columns = domains.stored_table(contract, entry.table), schema.get(entry.table, {})
        keys = tuple(name for name in table.key_columns if name in columns)
        if keys and set(also) <= set(columns):
            found[entry.path] = replace(table, holds_keys=keys, spelled=tuple(n for n in table.spelled if n in keys))
    return found


def rows_about(content: bytes, wanted: Suppressed, table: Table, *, where: str) -> list[dict[str, Any]]:
    """The rows of a Parquet file of a table that have a key; CorruptArtifactError that names ``where``."""
    said = sorted({"title", "name", "text", "query", "signature", "reason", "detail"} - {*table.key_columns})
    rows = columns_of(content, [*table.key_columns, *said], where=where)
    hits = holding(rows, wanted, table.key_columns, spelled=table.spelled)
    places = [row for row, hit in enumerate(hits) if hit]
    return rows.take(places).to_pylist() if places else []


def _choose_runs(inventory: Inventory, found: Affected, records: list[dict[str, Any]]) -> None:
    """The runs to be rerun: the newest of each day and flow, and those of published versions; others are lost."""
    condemned = set(found.condemned)
    hit = [record for record in records if record["state"] == "completed" and condemned & set(used_by(record))]
    chosen = {(r["flow"], r["collection"], r["day"]): r for r in hit}
    picked = {record["id"]: record for record in chosen.values()}
    for name, product in products(inventory.store):
        for move in Pointer(inventory.store, name, product).line():
            if move.ref in condemned:
                made = [r for r in hit if move.ref in used_by(r)]
                if made and not any(move.ref in used_by(r) for r in picked.values()):
                    picked[made[-1]["id"]] = made[-1]
                elif not made:
                    found.lost[move.ref] = "no record of the run that made it"
    counted = set[str]()
    for record in sorted(picked.values(), key=lambda record: (record["day"], record["at"], record["id"])):
        refs = [ref for ref in used_by(record) if ref in condemned and ref not in counted]
        counted.update(refs)
        seconds = sum(float(inventory.manifests[ref].run.get("seconds", 0.0)) for ref in refs)
        found.reruns.append(_rerun_plan(inventory, record, condemned, round(seconds, 3)))


def _rerun_plan(inventory: Inventory, record: Mapping[str, Any], condemned: set[str], seconds: float) -> RerunPlan:
    """The plan of a rerun: each domain from its input, from the store if that is missing, or not at all."""
    made: dict[str, list[str]] = {}
    for domain, file in domains.inputs():
        stages = (*file.stages, *filter(None, [file.merge_stage]))
        if refs := [ref for stage in stages if (ref := made_by(record, stage, file.part))]:
            made.setdefault(domain.word, []).append(refs[0])
    imported = {word: _outermost(inventory, refs) for word, refs in made.items()}
    gone = {word for word, ref in imported.items() if not _input_is_there(inventory, record, ref, word)}
    hit = {_domain_of(role, ref) for role, ref in record["refs"].items() if ref in condemned}
    hit |= {word for domain in domains.DOMAINS if domain.word in hit for word in domain.made_of}
    stored, left = gone & hit, gone - hit
    # A domain that is made from another domain's input is left out where that one is.
    for domain in domains.DOMAINS:
        needs = domain.made_of or (domain.needs if domain.word not in imported else ())
        if needs and set(needs) <= left:
            left.add(domain.word)
    order = [domain.word for domain in domains.DOMAINS]
    return RerunPlan(
        record["id"],
        record["flow"],
        record["collection"],
        record["day"],
        seconds,
        imported,
        [word for word in order if word in stored],
        [word for word in order if word in left],
    )


def _outermost(inventory: Inventory, refs: list[str]) -> str:
    """Of the imports of one domain the one that is made of others, as links are of graphs; else the first."""
    for ref in refs:
        inputs = inventory.manifests[ref].identity["inputs"].values() if ref in inventory.manifests else ()
        if any(given.get("ref") in refs for given in inputs):
            return ref
    return refs[0]


def _domain_of(role: str, ref: str) -> str:
    """The domain of a role in a run's record, or of its artifact where no domain claims the role."""
    owner = next((domain for domain in domains.DOMAINS if domain.roles and role.startswith(domain.roles)), None)
    return owner.word if owner else Ref.parse(ref).name.partition(".")[0]


def made_by(record: Mapping[str, Any], stage: str, part: str = "") -> str:
    """The artifact that a stage of a run made or reused; empty if the run has no such stage."""
    found = (one for one in record["stages"] if (one["stage"], one.get("part", "")) == (stage, part))
    return next((str(one["ref"]) for one in found), "")


def _input_is_there(inventory: Inventory, record: Mapping[str, Any], made: str, word: str) -> bool:
    """Whether the input of a domain in a run still is the one that its artifact was made from."""
    if days := merged_from(inventory.store, made):
        return _days_are_there(inventory, record, days, word)
    try:
        settings = request_of(record, inventory.store).resolve()
        suppressed = domains.forgotten(inventory.store, record["collection"]).suppressed()
        source = named(domains.domain_of(word).source)(settings, record["flow"], suppressed)
        now = source.identity()
    except FingerpostError:
        return False
    if made not in inventory.manifests:
        return False
    recorded = list(_recorded(inventory, made, word))
    return bool(now in (digest_of(recorded), *(recorded if len(recorded) == 1 else ())))


def _recorded(inventory: Inventory, made: str, word: str) -> Iterator[str]:
    """The identities of the inputs from outside that an import of a domain was made of, directly and through its own inputs.

    Of one that has an input of its own, those of other domains' imports do not count.
    """
    identity, refs = inventory.manifests[made].identity, set[str]()
    theirs = {file.artifact for domain, file in domains.inputs() if domain.word != word}
    direct = any("ref" not in given for given in identity["inputs"].values())
    for name, given in identity["inputs"].items():
        if "ref" not in given:
            yield str(identity["input_identities"][name])
        elif given["ref"] not in refs and not (direct and Ref.parse(given["ref"]).name in theirs):
            refs.add(given["ref"])
            imported = inventory.manifests.get(given["ref"])
            yield str(next(iter(imported.identity["input_identities"].values()))) if imported else ""


def merged_from(store: Store, made: str) -> dict[str, Ref]:
    """The imported days that an artifact was merged from, by day; empty if it was not."""
    try:
        return {
            day: ref
            for name in sorted(domains.day_artifacts())
            for day, ref in days_of(store, Ref.parse(made), name).items()
        }
    except FingerpostError:
        return {}


def _days_are_there(inventory: Inventory, record: Mapping[str, Any], days: Mapping[str, Ref], word: str) -> bool:
    """Whether the files of all these days still are what their imports were made from."""
    try:
        request = request_of(record, inventory.store)
        settings, suppressed = request.resolve(), domains.forgotten(inventory.store, record["collection"]).suppressed()
        domain = domains.domain_of(word)
        uses = named(domain.files)(settings, record["flow"])
        path = next(use.path for use in uses if DAY in use.path)
        opened = named(domain.daily)(settings, record["flow"])
        for day, ref in days.items():
            (recorded,) = inventory.store.manifest(ref).identity["input_identities"].values()
            if opened(path.replace(DAY, day), suppressed).identity() != recorded:
                return False
    except (FingerpostError, StopIteration):
        return False
    return True


def request_of(record: Mapping[str, Any], store: Store) -> RunRequest:
    """The request that repeats a recorded run: the original one if it still resolves to the same, else its settings."""
    recorded = renamed(record["settings"])
    kept = {key: value for key, value in recorded.items() if key not in {"store", "day", "force"}}
    settings = {key: value for key, value in kept.items() if not advice_about(key)}
    if record.get("request"):
        with_day = {
            **record["request"],
            "day": record["day"],
            "store": store.url,
            **OF_ANY_RUN,
            "future": True,
        }
        given = record["request"].get("settings") or {}
        with_day["settings"] = {key: value for key, value in given.items() if not advice_about(key)}
        try:
            request = RunRequest.of(**with_day)
            if _same(in_force(request.resolve()), {**_unrecorded(request.profile), **settings}):
                return request
        except (FingerpostError, TypeError):
            pass
    known = {key: value for key, value in settings.items() if key in in_force(domains.settings.Settings())}
    named = (record.get("request") or {}).get("profile")
    profile = named if named in profile_names() else "quick"
    return RunRequest.of(profile=profile, day=record["day"], future=True, store=store.url, settings=known)


def _unrecorded(profile: str) -> dict[str, Any]:
    """The values of what was no setting when a run was recorded: those of a built-in profile, or the defaults."""
    own = load_settings(profile)[0] if profile in profile_names() else domains.settings.Settings()
    return in_force(own)


def _same(now: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether settings are those of a record."""
    sides = (now, settings)
    kept = [{key: value for key, value in side.items() if key not in {"store", "day", "force"}} for side in sides]
    first, second = (json.loads(json.dumps(side, default=_plain)) for side in kept)
    return bool(first == second)


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def used_by(record: Mapping[str, Any]) -> list[str]:
    """The artifacts that a run made or reused, including companions."""
    refs = [stage["ref"] for stage in record["stages"]]
    return refs + [ref for stage in record["stages"] for ref in stage.get("companions", {}).values()]


def companions_of(manifest: Manifest) -> list[str]:
    """The companions of an artifact: those committed together with it."""
    return [str(Ref.parse(ref)) for ref in manifest.run.get("companions", {}).values()]
