"""Questions to opened products through the routes of a service, answered in this process."""

import json
from collections.abc import Mapping
from typing import Any

from fingerpost.flows.ops.serve.answering import Answering
from fingerpost.flows.ops.serve.options import Limits
from fingerpost.flows.ops.serve.routes import routes

ROUTES = routes()
CODES = {route.path: code for code, route in enumerate(ROUTES)}


def asked(opened: Mapping[str, Any], path: str, question: Mapping[str, Any], *, status: int = 200) -> dict[str, Any]:
    """The reply to a question, which its model accepts as it is; asked alone and in a batch."""
    versions = dict.fromkeys(opened, "the version")
    answering = Answering(ROUTES, opened, versions, Limits())
    found, body = answering.answer(CODES[path], json.dumps(question).encode())
    many = answering.answer(CODES[f"{path}/batch"], json.dumps({"questions": [question] * 2}).encode())
    assert (found, many[0]) == (status, status), body
    reply: dict[str, Any] = json.loads(body)
    if status == 200:
        model = ROUTES[CODES[path]].reply
        assert set(reply) <= set(model.model_fields), "fields that the model does not describe"
        model.model_validate_json(body)
        assert reply.pop("version") == "the version"
        assert json.loads(many[1])["replies"] == [reply, reply]
    return reply
