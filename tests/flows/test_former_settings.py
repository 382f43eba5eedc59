"""Settings of earlier versions: renamed with a warning, or refused with what to do instead."""

from pathlib import Path

import pytest

from fingerpost.flows.domains import DOMAINS
from fingerpost.flows.run.profiles import in_force, load_settings, settings_read
from fingerpost.flows.run.section import SettingsError


@pytest.mark.parametrize(
    ("key", "value", "advice"),
    [
        ("corpus.ngrams.first_weight", 9.0, "the weights of fields are chosen for each collection"),
        ("corpus.tfidf.sublinear", True, r"see corpus\.features"),
        (
            "ann.retrieval.rerank.candidates",
            50,
            r"how texts are answered is chosen for each collection \(ann\.tuning\)",
        ),
    ],
)
def test_a_key_that_nothing_replaces_is_refused_with_advice(key: str, value: object, advice: str) -> None:
    expected = (
        rf"^{key.rpartition('.')[0]}.*: expected a key of this version, got one of an earlier version; .*{advice}"
    )
    with pytest.raises(SettingsError, match=expected):
        load_settings("tiny", overrides={key: value})


def test_a_profile_with_such_a_key_is_named(tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text("[corpus.ngrams]\nname_weight = 3.0\n")
    with pytest.raises(
        SettingsError, match=r"^corpus\.ngrams \(from profile .*mine\.toml\): expected a key of this version"
    ):
        load_settings(str(profile))


def test_any_other_unknown_key_is_refused_as_before() -> None:
    with pytest.raises(
        SettingsError, match=r"corpus\.ngram \(from command line\): expected a known key, one of analyzer"
    ):
        load_settings("tiny", overrides={"corpus.ngram": 1})


def test_a_renamed_gate_still_holds() -> None:
    for old in ("gates.reranked_over_bm25", "ann.gates.reranked_over_bm25"):
        settings, _ = load_settings("tiny", overrides={old: 1.5})
        assert settings.ann.gates.fused_over_bm25 == 1.5


def test_records_of_earlier_runs_are_read_without_such_keys() -> None:
    found = settings_read({"corpus.ngrams.first_weight": 30.0, "corpus.svd.rank": 7})
    assert found.corpus.svd.rank == 7


def test_nothing_that_is_gone_is_there() -> None:
    known = in_force(load_settings("tiny")[0])
    for domain in DOMAINS:
        for key in (*domain.gone, *domain.former):
            assert not [name for name in known if f"{name}.".startswith(f"{key}.")], key
