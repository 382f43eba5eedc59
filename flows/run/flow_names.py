"""The flows that can be run by name: the nightly, and one per domain."""

from fingerpost.flows import domains

NIGHTLY = "nightly"


def flow_names() -> dict[str, str]:
    """The flows by name, as ``"module:function"``; the nightly first."""
    return {NIGHTLY: "fingerpost.flows.nightly:nightly"} | {domain.flow_name: domain.flow for domain in domains.DOMAINS}
