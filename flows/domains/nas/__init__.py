"""The declaration of ``nas``: from labelled images and a device to a published network that fits it."""

from fingerpost.flows.domains.domain import Described, Domain, InputFile, Product, Section
from fingerpost.schemas.inputs import DIGITS_SAMPLE

NAS = Domain(
    word="nas",
    flow="fingerpost.flows.search_architectures:search_architectures",
    roles="network",
    products=(
        Product(
            name="nas.network",
            contract="fingerpost.schemas.nas:NETWORK",
            title="network",
            role="network",
            gates="fingerpost.flows.domains.nas.gates:network_gates",
            compared="fingerpost.flows.domains.nas.comparison:network_compared",
            on_missed="fingerpost.flows.domains.nas.gates:on_missed",
            open="fingerpost.tasks.nas.open:live",
            queries=(
                "the id of an image that it was trained or tested with, answered with classes (with why also network, to"
                " compare fronts)"
            ),
            answers="fingerpost.flows.domains.nas.answers:answerer",
            why="fingerpost.flows.domains.nas.why:why",
        ),
    ),
    inputs=(
        InputFile(
            title="labelled images",
            setting="nas.data",
            artifact="nas.images",
            stage="import_labelled_images",
            builtin=frozenset({DIGITS_SAMPLE}),
            columns="nas.columns",
            beside=("nas.images", "nas.task", "nas.reference"),
            described=Described("images", kinds=("label", "split"), same=("pixels",), counted=("classes",)),
        ),
        InputFile(
            title="device",
            setting="nas.device",
            artifact="nas.measurements",
            stage="measure_operators",
            readers=("measure_network",),
            builtin=frozenset({"accelerator", "cpu"}),
            beside=("nas.accelerator",),
        ),
    ),
    skipped="fingerpost.flows.domains.nas.sources:skipped",
    files="fingerpost.flows.domains.nas.sources:files_of",
    source="fingerpost.flows.domains.nas.sources:suppressed_source",
    stored="fingerpost.schemas.inputs.stored_images:StoredImages",
    forms={
        "labelled images": "fingerpost.schemas.inputs.labelled_images:LABELLED_IMAGES",
        "image archive": "fingerpost.schemas.inputs.image_archives:IMAGE_ARCHIVE",
        "device table": "fingerpost.schemas.inputs.keyless:DEVICE_TABLE",
        "architecture": "fingerpost.schemas.inputs.keyless:ARCHITECTURE",
    },
    changes={
        "nas.images": "fingerpost.flows.domains.nas.changes:images",
        "nas.measurements": "fingerpost.flows.domains.nas.changes:measurements",
        "nas.latency": "fingerpost.flows.domains.nas.changes:latency",
        "nas.supernet": "",
        "nas.search": "fingerpost.flows.domains.nas.changes:search",
        "nas.landscape": "",
        "nas.patterns": "fingerpost.flows.domains.nas.changes:patterns",
        "nas.trained": "fingerpost.flows.domains.nas.changes:trained",
        "nas.measured": "fingerpost.flows.domains.nas.changes:measured",
        "nas.evaluation": "fingerpost.flows.domains.nas.changes:evaluation",
        "nas.network": "",
    },
    costs="fingerpost.flows.domains.nas.costs:costs",
    report=Section(
        gather="fingerpost.flows.domains.nas.report.section:gather",
        template="fingerpost.flows.domains.nas.report:section.html",
        plots="fingerpost.flows.domains.nas.report.section:plots",
        cards="fingerpost.flows.domains.nas.report.section:cards",
        beside="fingerpost.flows.domains.nas.report.standing:beside",
        trends="fingerpost.flows.domains.nas.report.standing:trends",
    ),
    command_group=(
        "Networks that fit the hardware: measures devices, advises on an architecture, and shows and applies the live network.\n\n"
        "    Example: fingerpost nas front"
    ),
    commands=(
        "fingerpost.flows.domains.nas.commands:measure",
        "fingerpost.flows.domains.nas.commands:advise",
        "fingerpost.flows.domains.nas.commands:front",
        "fingerpost.flows.domains.nas.commands:predict",
    ),
)
