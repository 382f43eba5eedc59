"""The steps of a ranker's training name every parameter of their stages, for training and refreshing alike."""

import inspect

from fingerpost.flows.domains.xmr.steps import steps_of
from fingerpost.flows.run.request import RunRequest


def test_steps_name_every_parameter_of_their_stages() -> None:
    settings = RunRequest(profile="tiny", settings={"xmr.ensemble.seeds": [0, 1]}).resolve()
    steps = steps_of(settings, "train_ranker")
    assert {"tree", "model", "tree_1", "model_1", "held_features"} < set(steps)
    for role, (stage, parameters) in steps.items():
        keyword_only = inspect.Parameter.KEYWORD_ONLY
        named = {p.name for p in inspect.signature(stage.function).parameters.values() if p.kind is keyword_only}
        assert set(parameters) == named, role
