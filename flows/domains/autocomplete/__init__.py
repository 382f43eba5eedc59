"""The declaration of ``autocomplete``: from the events of a query log to a published completer."""

from fingerpost.flows.domains.domain import Described, Domain, Endpoint, InputFile, Product, Section, Served
from fingerpost.schemas.inputs import CALLS_SAMPLE

AUTOCOMPLETE = Domain(
    word="autocomplete",
    flow="fingerpost.flows.train_autocomplete:train_autocomplete",
    roles="completer",
    products=(
        Product(
            name="autocomplete.completer",
            contract="fingerpost.schemas.autocomplete:COMPLETER",
            title="completer",
            role="completer",
            gates="fingerpost.flows.domains.autocomplete.gates:completer_gates",
            compared="fingerpost.flows.domains.autocomplete.comparison:completer_compared",
            open="fingerpost.tasks.autocomplete.open:live",
            queries='a line "first query > second query > prefix", answered with queries',
            answers="fingerpost.flows.domains.autocomplete.answers:answerer",
            why="fingerpost.flows.domains.autocomplete.why:why",
            served=Served(
                opened="fingerpost.flows.domains.autocomplete.serving:opened",
                endpoints=(
                    Endpoint(
                        path="/complete",
                        summary="The completions of a prefix after some queries",
                        question="fingerpost.flows.domains.autocomplete.endpoints:Typed",
                        reply="fingerpost.flows.domains.autocomplete.endpoints:Suggestions",
                        answer="fingerpost.flows.domains.autocomplete.serving:complete",
                    ),
                ),
            ),
        ),
    ),
    inputs=(
        InputFile(
            title="events",
            setting="autocomplete.input",
            artifact="autocomplete.events",
            stage="import_events",
            day_artifact="autocomplete.daily_events",
            day_stage="import_daily_events",
            merge_stage="merge_daily_events",
            builtin=frozenset({CALLS_SAMPLE}),
            columns="autocomplete.columns",
            beside=("autocomplete.days", "autocomplete.time_format", "autocomplete.blocklist"),
            described=Described("events", ("query",), (), ("user", "time", "query")),
        ),
    ),
    skipped="fingerpost.flows.domains.autocomplete.sources:skipped",
    files="fingerpost.flows.domains.autocomplete.sources:files_of",
    source="fingerpost.flows.domains.autocomplete.sources:suppressed_source",
    daily="fingerpost.flows.domains.autocomplete.sources:daily_of",
    stored="fingerpost.schemas.inputs.stored_events:StoredEvents",
    forms={
        "events": "fingerpost.schemas.inputs.events:EVENTS",
        "daily events": "fingerpost.schemas.inputs.events:DAILY_EVENTS",
        "blocked queries": "fingerpost.schemas.inputs.blocked_queries:BLOCKED_QUERIES",
    },
    spelled="fingerpost.tasks.autocomplete.matching:matching_key",
    changes={
        "autocomplete.daily_events": "",
        # Counts alone: texts of one user are in both.
        "autocomplete.events": "",
        "autocomplete.sessions": "",
        "autocomplete.suggestions": "fingerpost.flows.domains.autocomplete.changes:suggestions",
        "autocomplete.pairs": "fingerpost.flows.domains.autocomplete.changes:pairs",
        "autocomplete.trie": "",
        "autocomplete.vocabulary": "",
        "autocomplete.followers": "",
        "autocomplete.evaluation": "fingerpost.flows.domains.autocomplete.changes:evaluation",
        "autocomplete.comparison": "fingerpost.flows.domains.autocomplete.changes:comparison",
        "autocomplete.weak_prefixes": "fingerpost.flows.domains.autocomplete.changes:weak_prefixes",
        "autocomplete.completer": "",
    },
    costs="fingerpost.flows.domains.autocomplete.costs:costs",
    report=Section(
        gather="fingerpost.flows.domains.autocomplete.report.section:gather",
        template="fingerpost.flows.domains.autocomplete.report:section.html",
        plots="fingerpost.flows.domains.autocomplete.report.section:plots",
        cards="fingerpost.flows.domains.autocomplete.report.section:cards",
        beside="fingerpost.flows.domains.autocomplete.report.standing:beside",
        trends="fingerpost.flows.domains.autocomplete.report.standing:trends",
    ),
    commands=("fingerpost.flows.domains.autocomplete.commands:complete",),
)
