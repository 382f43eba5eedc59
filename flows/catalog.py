"""The stages there are, by name."""

from tasks.ann import stages as ann
from tasks.corpus import stages as corpus
from tasks.stage import Stage

STAGES: dict[str, Stage] = {
    found.name: found for module in (corpus, ann) for found in vars(module).values() if isinstance(found, Stage)
}
