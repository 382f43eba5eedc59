"""Links of "See Also" and first sentences: read from small made-up packages, which are never imported, and from installed ones."""

import sys
from pathlib import Path

import pytest

from fingerpost.schemas.errors import InputError
from fingerpost.schemas.inputs.interactions import (
    FirstSentenceSource,
    InteractionBatch,
    InteractionFile,
    InteractionSource,
    SeeAlsoSource,
)
from fingerpost.schemas.inputs.python_docs.links import Page, links_of, pages_of
from fingerpost.schemas.inputs.python_docs.sections import split_see_also, split_sentence
from fingerpost.schemas.inputs.sample_files import write_sample
from fingerpost.schemas.inputs.suppression import Suppressed
from tests.support.distributions import install

CARP = {
    "carp/__init__.py": (
        '''
        """Carps.

        See Also
        --------
        perch : Another fish.
        carp.pond : Where they live.
        """
        raise RuntimeError("imported")
        from carp._impl import feed, starve as diet, Fish
        '''
    ),
    "carp/_impl.py": (
        '''
        from carp.pond import drain as let_out
        def feed(fish):
            """Feed it. With bread.

            Parameters
            ----------
            fish : Fish

            See Also
            --------
            diet, Fish.eat : Others.
            starve : The name it has in its source.
            let_out
            feed : Itself.
            nowhere, :ref:`a guide <feeding>`
            perch.catch : In another package.
                described : further

            Notes
            -----
            Not too much.
            """
        def starve(fish):
            """Give it nothing.

            .. seealso:: :func:`~carp.feed` and :meth:`.sleep`,
               :meth:`text <Fish.eat>` and :paramref:`.fish`

            Nor this.
            """
        class _Base:
            def sleep(self):
                """Sleep."""
        class Animal:
            def breathe(self):
                """Breathe."""
        class Fish(_Base, Animal):
            """A fish."""
            def eat(self):
                """Eat.

                See Also:
                    sleep: of the same class
                    breathe: of a public base
                    pond.drain
                """
            def undocumented(self):
                pass
            def swim(self):
                """Swim. See also `eat`.

                See Also
                ========
                undocumented
                https://example.org/eat
                Not a list of names.
                """
        '''
    ),
    "carp/pond.py": (
        '''
        """Ponds."""
        from carp._impl import Animal
        __all__ = ["drain", "Animal"]
        def drain():
            """Let the water out."""
        '''
    ),
}

PERCH = {
    "perch/__init__.py": (
        '''
        """Perches."""
        __all__ = ["catch", "release"]
        def catch():
            """
            catch()

            Give it
            nothing."""
        def release(): "Stub."
        '''
    )
}


@pytest.fixture
def waters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two installed distributions that must never be imported."""
    for name, files in (("carp", CARP), ("perch", PERCH)):
        (tmp_path / name).mkdir()
        install(tmp_path / name, name, files, monkeypatch)


def by_id(distribution: str) -> dict[str, Page]:
    return {page.id: page for page in pages_of(distribution).pages}


@pytest.mark.usefixtures("waters")
def test_names_become_the_objects_they_stand_for_where_they_are_written() -> None:
    pages = by_id("carp")
    feed = pages["carp.feed"]
    assert feed.targets == ("carp.diet", "carp.Fish.eat", "carp.pond.drain", "carp.feed")
    assert feed.elsewhere == ("nowhere", "perch.catch")
    assert pages["carp.diet"].targets == ("carp.feed", "carp.Fish.sleep", "carp.Fish.eat")
    assert pages["carp.Fish.eat"].targets == ("carp.Fish.sleep", "carp.pond.Animal.breathe", "carp.pond.drain")
    assert pages["carp.Fish.swim"].targets == ("carp.Fish.undocumented",)
    assert pages["carp"].targets == ("carp.pond",)
    assert pages["carp"].elsewhere == ("perch",)
    assert "carp" not in sys.modules


@pytest.mark.usefixtures("waters")
def test_text_of_a_page_is_without_what_it_is_linked_to() -> None:
    pages = by_id("carp")
    feed = pages["carp.feed"].text
    assert feed == "Feed it. With bread.\n\nParameters\n----------\nfish : Fish\n\nNotes\n-----\nNot too much."
    assert pages["carp.diet"].text == "Give it nothing.\n\nNor this."
    assert pages["carp.Fish.eat"].text == "Eat."
    assert pages["carp.Fish.swim"].text == "Swim. See also `eat`."
    assert pages["carp.Fish.undocumented"].text == ""


@pytest.mark.usefixtures("waters")
def test_what_one_distribution_does_not_know_may_be_a_full_name_of_another() -> None:
    found = links_of([pages_of("carp"), pages_of("perch")])
    assert found.targets["carp.feed"] == ("carp.diet", "carp.Fish.eat", "carp.pond.drain", "perch.catch")
    assert found.targets["carp"] == ("carp.pond",)  # a name without dots is none that others have
    assert (found.listed, found.resolved, found.own) == (15, 13, 1)
    alone = links_of([pages_of("carp")])
    assert (alone.listed, alone.resolved) == (15, 12)


def pairs(batch: InteractionBatch) -> dict[str, list[str]]:
    labels, queries = batch.labels["id"].to_pylist(), batch.queries["id"].to_pylist()
    found: dict[str, list[str]] = {}
    for pair in batch.pairs.to_pylist():
        assert pair["weight"] == 1
        found.setdefault(queries[pair["query"]], []).append(labels[pair["label"]])
    return {query: sorted(chosen) for query, chosen in found.items()}


@pytest.mark.usefixtures("waters")
def test_interactions_of_see_also() -> None:
    source: InteractionSource = SeeAlsoSource(("carp", "perch"))
    batch = source.read()
    assert str(source) == "python-docs-see-also"
    assert pairs(batch) == {
        "carp": ["carp.pond"],
        "carp.Fish.eat": ["carp.Fish.sleep", "carp.pond.Animal.breathe", "carp.pond.drain"],
        "carp.Fish.swim": ["carp.Fish.undocumented"],
        "carp.diet": ["carp.Fish.eat", "carp.Fish.sleep", "carp.feed"],
        "carp.feed": ["carp.Fish.eat", "carp.diet", "carp.pond.drain", "perch.catch"],
    }
    texts = dict(zip(batch.queries["id"].to_pylist(), batch.queries["text"].to_pylist(), strict=True))
    assert texts["carp.Fish.eat"] == "carp.Fish.eat\n\nEat."
    labels = {row["id"]: row for row in batch.labels.to_pylist()}
    assert labels["perch.catch"] == {"id": "perch.catch", "name": "perch.catch", "text": "Give it\nnothing."}
    assert labels["carp.Fish.undocumented"]["text"] == ""
    assert batch.figures["names listed"] == 15
    assert batch.figures["names resolved"] == 13


@pytest.mark.usefixtures("waters")
def test_interactions_of_first_sentences() -> None:
    batch = FirstSentenceSource(("carp", "perch")).read()
    found = pairs(batch)
    assert found["Give it nothing."] == ["carp.diet", "perch.catch"]
    assert found["Feed it."] == ["carp.feed"]
    assert found.keys().isdisjoint({"Eat.", "Stub."})  # one word says nothing
    labels = {row["id"]: row["text"] for row in batch.labels.to_pylist()}
    assert labels["carp.diet"] == "Nor this."
    assert labels["carp.feed"].startswith("With bread.\n\nParameters")
    assert batch.queries["id"].equals(batch.queries["text"])


@pytest.mark.usefixtures("waters")
def test_forgotten_objects_are_neither_queries_nor_labels() -> None:
    gone = Suppressed.of(["carp.diet"], b"salt")
    for kind in (SeeAlsoSource, FirstSentenceSource):
        plain, without = kind(("carp", "perch")), kind(("carp", "perch"), gone)
        batch = without.read()
        assert "carp.diet" not in [*batch.queries["id"].to_pylist(), *batch.labels["id"].to_pylist()]
        assert "carp.diet" in plain.read().labels["id"].to_pylist()
        assert without.identity() != plain.identity()
    assert SeeAlsoSource(("carp",)).identity() != FirstSentenceSource(("carp",)).identity()
    assert SeeAlsoSource(("carp",)).identity() != SeeAlsoSource(("carp", "perch")).identity()


@pytest.mark.parametrize(
    ("text", "rest", "names"),
    [
        ("A.\n\nSee Also\n--------\na, b.c,\nd\n\nNotes\n-----\nx", "A.\n\nNotes\n-----\nx", ("a", "b.c", "d")),
        ("A.\n\nSee also\n--------\n\n:func:`x.y` : z\n`w`", "A.", ("x.y", "w")),
        ("A.\n\n  See Also\n  --------\n  a: like b\n    more\n  c", "A.", ("a", "c")),
        (
            "A.\n\nSee Also\n--------\n.Axes.plot, ~m.f, g()\n:doc:`guide`\nhttps://a.b/c\nSee a book.",
            "A.",
            (".Axes.plot", "m.f", "g"),
        ),
        ("A.\n\nSee Also:\n    a\n    b\n\nB.", "A.\n\nB.", ("a", "b")),
        (".. seealso::\n\n   :class:`A` - x\n\n   :ref:`b`\n\nB.", "B.", ("A",)),
        (".. seealso:: :py:meth:`~A.b`\n:param x: y", ":param x: y", ("A.b",)),
        ("A, see also `b`.", "A, see also `b`.", ()),
        ("See Also\n--------", "", ()),
        ("", "", ()),
    ],
)
def test_sections(text: str, rest: str, names: tuple[str, ...]) -> None:
    assert split_see_also(text) == (rest, names)


@pytest.mark.parametrize(
    ("text", "sentence", "rest"),
    [
        ("One\nline. Two.\n\nThree.", "One line.", "Two.\n\nThree."),
        ("No end\n\nMore.", "No end", "More."),
        ("As numpy.sort does, e.g. quickly. B", "As numpy.sort does, e.g. quickly.", "B"),
        ("Return x. `y` is.", "Return x.", "`y` is."),
        ("", "", ""),
    ],
)
def test_sentences(text: str, sentence: str, rest: str) -> None:
    assert split_sentence(text) == (sentence, rest)


def test_links_of_an_installed_package() -> None:
    found = links_of([pages_of("numpy")])
    assert {"numpy.argsort", "numpy.ndarray.sort", "numpy.lexsort"} <= set(found.targets["numpy.sort"])
    assert "numpy.linalg.tensorsolve" in found.targets["numpy.linalg.tensorinv"]
    assert len(found.targets) > 500
    assert found.resolved > 0.85 * found.listed


@pytest.mark.usefixtures("waters")
@pytest.mark.parametrize("kind", [SeeAlsoSource, FirstSentenceSource])
def test_written_as_files_they_read_the_same(tmp_path: Path, kind: type[SeeAlsoSource | FirstSentenceSource]) -> None:
    written = write_sample(kind.name, tmp_path / "new" / "folder", ("carp", "perch"))
    assert sorted((tmp_path / "new" / "folder").iterdir()) == written
    source, expected = InteractionFile(str(written[0]), str(written[1])), kind(("carp", "perch")).read()
    batch = source.read()
    assert batch.queries.equals(expected.queries)
    assert batch.labels.equals(expected.labels)
    assert batch.pairs.equals(expected.pairs)
    assert batch.reasons == {}


def test_no_other_sample() -> None:
    with pytest.raises(InputError, match="sample: expected python-docs-see-also or python-docs-names, got 'java-docs'"):
        write_sample("java-docs", Path())
