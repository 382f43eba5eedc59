"""Writes ``tasks/same_code.json``: the present code of each stage, as that of the version before whose artifacts it
makes.

    python -m tests.golden.same_code                          after a change of form alone
    python -m tests.golden.same_code --except STAGE,STAGE     without stages whose artifacts changed on purpose

``code_of_0_1.json`` holds the hashes {stage: code} of the version before. tests/golden/test_golden.py compares
artifacts.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from fingerpost.flows.run.catalog import stages
from fingerpost.tasks.code import code_hash, unchanging_code
from fingerpost.tasks.same_code import FILE

BEFORE = Path(__file__).with_name("code_of_0_1.json")
#: The stages of the version before that did what some stages do now.
FORMER_STAGES = {
    "import_embeddings": "import_documents",
    "import_images": "import_documents",
    "take_embeddings": "take_vectors",
}


def present_code() -> dict[str, str]:
    """The hash of the code of every stage as it is now."""
    with unchanging_code():
        return {name: code_hash(stage.function) for name, stage in sorted(stages().items())}


def table(
    before: Mapping[str, str], now: Mapping[str, str], *, excepted: Sequence[str] = ()
) -> dict[str, dict[str, str]]:
    """{stage: {hash now: hash before}} of stages whose code changed; ValueError for an exception that is no stage."""
    unknown = sorted(set(excepted) - set(now))
    if unknown:
        raise ValueError(f"--except: expected stages among {', '.join(now)}, got {', '.join(unknown)}; correct it")
    former = {name: before.get(FORMER_STAGES.get(name, name)) for name in now if name not in excepted}
    return {name: {now[name]: code} for name, code in former.items() if code is not None and code != now[name]}


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("before", nargs="?", default=str(BEFORE), help="hashes of the version before, {stage: code}")
    parser.add_argument("--except", dest="excepted", default="", help="stages, by commas, that make other artifacts")
    given = parser.parse_args()
    entries = table(
        json.loads(Path(given.before).read_text()),
        present_code(),
        excepted=[name for name in given.excepted.split(",") if name],
    )
    FILE.write_text(json.dumps(entries, indent=1) + "\n")
    print(f"{FILE}: {len(entries)} of {len(stages())} stages by other code than before")


if __name__ == "__main__":
    main()
