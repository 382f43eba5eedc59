"""The list of domains, ``DOMAINS``, and functions that walk it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fingerpost.flows.domains.ann import ANN
from fingerpost.flows.domains.autocomplete import AUTOCOMPLETE
from fingerpost.flows.domains.corpus import CORPUS
from fingerpost.flows.domains.domain import Domain, FileUse, InputFile, Product, named
from fingerpost.flows.domains.kg import KG
from fingerpost.flows.domains.metric import METRIC
from fingerpost.flows.domains.nas import NAS
from fingerpost.flows.domains.xmr import XMR

if TYPE_CHECKING:  # they bring pyarrow along
    from fingerpost.schemas.contract import Contract, Table
    from fingerpost.schemas.forgotten import Forgotten
    from fingerpost.schemas.inputs.forms import Form
    from fingerpost.schemas.store import Store

#: In the order in which a nightly runs them.
DOMAINS: tuple[Domain, ...] = (CORPUS, ANN, XMR, AUTOCOMPLETE, KG, METRIC, NAS)


def domain_of(word: str) -> Domain:
    """The domain of that word; KeyError if there is none."""
    return {domain.word: domain for domain in DOMAINS}[word]


def products() -> dict[str, Product]:
    """The products of all domains, by the name of the contract."""
    return {product.name: product for domain in DOMAINS for product in domain.products}


def publisher_of(name: str) -> Domain:
    """The domain that publishes a product, by the name of the contract."""
    return next(domain for domain in DOMAINS if any(product.name == name for product in domain.products))


def inputs() -> list[tuple[Domain, InputFile]]:
    """The kinds of input files of all domains."""
    return [(domain, file) for domain in DOMAINS for file in domain.inputs]


def imported_by(stage: str, part: str = "") -> InputFile | None:
    """The kind of file that a stage of a flow's part imports, also under its earlier names; None if it imports none."""
    return next((file for _, file in inputs() if file.has_stage(stage, part)), None)


def day_artifacts() -> set[str]:
    """The contracts of one day's rows, of inputs that are read over several days."""
    return {file.day_artifact for _, file in inputs() if file.day_artifact}


def contracts() -> "dict[str, Contract]":
    """The contracts of all domains, by name."""
    return {contract.name: contract for domain in DOMAINS for contract in _contracts(domain)}


def imported_contract(file: InputFile) -> "Contract":
    """The contract of the imported rows of a kind of file."""
    domain = next(domain for domain, other in inputs() if other is file)
    return next(contract for contract in _contracts(domain) if contract.name == file.artifact)


def _contracts(domain: Domain) -> "tuple[Contract, ...]":
    found: tuple[Contract, ...] = named(domain.contracts or f"fingerpost.schemas.{domain.word}:CONTRACTS")
    return found


def stored_table(contract: str, table: str) -> "Table":
    """A table of an artifact, which says where keys stand; in one that no contract has any more, ``id`` holds them."""
    from fingerpost.schemas.contract import Table

    known = contracts().get(contract)
    found = (one for one in known.tables if one.name == table) if known else ()
    return next(iter(found), Table(table, (), holds_keys=("id",)))


def spelling() -> Callable[[str], str] | None:
    """The form in which texts of keys that may be spelled in several ways are compared; None if no domain has one."""
    return next((named(domain.spelled) for domain in DOMAINS if domain.spelled), None)


def forgotten(store: "Store", collection: str) -> "Forgotten":
    """The keys that a collection has forgotten."""
    from fingerpost.schemas.forgotten import Forgotten

    return Forgotten(store, collection, spelled=spelling())


def form_of(name: str) -> "Form":
    """The form of the rows of a kind of file; KeyError if no domain declares it."""
    form: Form = named({name: form for domain in DOMAINS for name, form in domain.forms.items()}[name])
    return form


def with_needs(domain: Domain) -> list[Domain]:
    """The domains that a domain needs, and itself, in the order of ``DOMAINS``."""
    words, waiting = {domain.word}, list(domain.needs)
    while waiting:
        word = waiting.pop()
        if word not in words:
            words.add(word)
            waiting += domain_of(word).needs
    return [other for other in DOMAINS if other.word in words]


def files_read(settings: Any, flow: str) -> dict[Domain, list[FileUse]]:
    """The user's files that a flow reads, by domain.

    The file of a setting that two domains read belongs to the later one: a part that runs alone may read the file that
    others read as documents. A file that two settings name is read by both, each in its own form.
    """
    uses = {domain: named(domain.files)(settings, flow) for domain in DOMAINS if domain.files}
    owner = {(use.setting, use.path): domain for domain, files in uses.items() for use in files}
    mine = {domain: [use for use in files if owner[use.setting, use.path] is domain] for domain, files in uses.items()}
    return {domain: files for domain, files in mine.items() if files}
