"""A toy domain: words of a user's file to a published glossary of their lengths. Whatever walks domains must take it as it is."""

from fingerpost.flows.domains.domain import Domain, Endpoint, InputFile, Product, Section, Served

TOY = Domain(
    word="toy",
    flow="tests.toy.flow:build_glossary",
    roles="toy",
    products=(
        Product(
            name="toy.glossary",
            contract="tests.toy.contracts:GLOSSARY",
            title="glossary",
            role="toy_glossary",
            gates="tests.toy.gates:glossary_gates",
            compared="tests.toy.gates:glossary_compared",
            open="tests.toy.open:live",
            queries="a word, answered with words of as long a meaning",
            answers="tests.toy.answers:GlossaryAnswers",
            why="tests.toy.answers:why",
            served=Served(
                opened="tests.toy.serving:opened",
                endpoints=(
                    Endpoint(
                        path="/define",
                        summary="How long the meaning of a word is",
                        question="tests.toy.serving:Word",
                        reply="tests.toy.serving:Length",
                        answer="tests.toy.serving:define",
                    ),
                ),
            ),
        ),
    ),
    inputs=(InputFile(title="words", setting="toy.input", artifact="toy.words", stage="import_words"),),
    skipped="tests.toy.inputs:skipped",
    files="tests.toy.inputs:files_of",
    source="tests.toy.inputs:suppressed_source",
    stored="tests.toy.inputs:StoredWords",
    changes={"toy.words": "tests.toy.changes:words"},
    report=Section(
        gather="tests.toy.report.section:gather",
        template="tests.toy.report:section.html",
        plots="tests.toy.report.section:plots",
        cards="tests.toy.report.section:cards",
    ),
    commands=("tests.toy.commands:define",),
    contracts="tests.toy.contracts:CONTRACTS",
    stages="tests.toy.stages",
)
