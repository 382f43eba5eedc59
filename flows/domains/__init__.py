"""The domains: ``DOMAINS`` is the one list of them, and everything that walks domains walks it."""

from typing import Any

from flows.domains.ann import ANN
from flows.domains.corpus import CORPUS
from flows.domains.domain import Domain, FileUse, InputFile, Product, named
from flows.domains.metric import METRIC
from flows.domains.xmr import XMR

#: In the order in which a nightly runs them.
DOMAINS: tuple[Domain, ...] = (CORPUS, ANN, XMR, METRIC)


def domain_of(word: str) -> Domain:
    """The domain of that word; KeyError if there is none."""
    return {domain.word: domain for domain in DOMAINS}[word]


def products() -> dict[str, Product]:
    """What is published, by the name of the contract."""
    return {product.name: product for domain in DOMAINS for product in domain.products}


def publisher_of(name: str) -> Domain:
    """The domain that publishes a product, by the name of the contract."""
    return next(domain for domain in DOMAINS if any(product.name == name for product in domain.products))


def inputs() -> list[tuple[Domain, InputFile]]:
    """The kinds of files that domains read."""
    return [(domain, file) for domain in DOMAINS for file in domain.inputs]


def imported_by(stage: str, part: str = "") -> InputFile | None:
    """The kind of file that a stage imports, in a part of its flow; None for a stage that imports none."""
    return next((file for _, file in inputs() if (file.stage, file.part) == (stage, part)), None)


def with_needs(domain: Domain) -> list[Domain]:
    """A domain after those that it needs, in the order of ``DOMAINS``."""
    words, waiting = {domain.word}, list(domain.needs)
    while waiting:
        word = waiting.pop()
        if word not in words:
            words.add(word)
            waiting += domain_of(word).needs
    return [other for other in DOMAINS if other.word in words]


def files_read(settings: Any, flow: str) -> dict[Domain, list[FileUse]]:
    """The user's files that a flow would read for each domain; a file that two domains name is the later one's."""
    uses = {domain: named(domain.files)(settings, flow) for domain in DOMAINS if domain.files}
    owner = {use.path: domain for domain, files in uses.items() for use in files}
    mine = {domain: [use for use in files if owner[use.path] is domain] for domain, files in uses.items()}
    return {domain: files for domain, files in mine.items() if files}
