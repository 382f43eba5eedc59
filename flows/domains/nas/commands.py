"""The commands of architecture search: measuring devices, advice on an architecture, the front, and predictions."""

from pathlib import Path
from typing import Annotated

import typer

from fingerpost.flows.commands.options import CollectionOption, JsonOption, ProfileOption, StoreOption

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="setting by dotted key, for example nas.measuring.repeats=30", show_default=False),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        help="accelerator (simulated), cpu (this one), or a table of measured latencies; by default that of the profile",
        show_default=False,
    ),
]


def measure(
    device: DeviceOption = "",
    size: Annotated[int, typer.Option(min=4, help="pixels on a side of the images of networks")] = 28,
    channels: Annotated[int, typer.Option(min=1, help="channels of the images: 1 for grey, 3 for RGB")] = 1,
    classes: Annotated[int, typer.Option(min=2, help="number of classes")] = 10,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="the Parquet (.parquet) or CSV (.csv) file of measurements to write; it is a device for nas.device",
            show_default=False,
        ),
    ] = None,
    settings: SetOption = None,
    profile: Annotated[
        str, typer.Option("--profile", "-p", help="quick, nightly, full, tiny, or a TOML file")
    ] = "quick",
    as_json: JsonOption = False,
) -> None:
    """Measures operators of the search space on a device, and how well whole networks are estimated from them.

    The file that is written describes the device: name it in nas.device, or give it with --device, to search and advise
    for that device on any machine.

    Examples:

        fingerpost nas measure --device cpu --output cpu.parquet

        fingerpost nas measure --device cpu.parquet --size 28 --classes 10
    """
    from fingerpost.flows.domains.nas.measure import measure as measured

    measured(
        device=device,
        images={"size": size, "channels": channels, "classes": classes},
        output=output,
        settings=tuple(settings or ()),
        profile=profile,
        as_json=as_json,
    )


def advise(
    network: Annotated[
        Path | None,
        typer.Argument(
            help="TOML file of an architecture; without it, the architecture of the live network", show_default=False
        ),
    ] = None,
    latency_ms: Annotated[
        float | None,
        typer.Option("--latency-ms", min=0, help="latency to get under, in milliseconds", show_default=False),
    ] = None,
    memory_bytes: Annotated[
        int | None,
        typer.Option("--memory-bytes", min=1, help="peak activation memory to get under", show_default=False),
    ] = None,
    parameters: Annotated[
        int | None, typer.Option("--parameters", min=1, help="number of parameters to get under", show_default=False)
    ] = None,
    accuracy: Annotated[
        float,
        typer.Option(
            "--accuracy", min=0, max=1, help="with --apply all: largest loss of accuracy that is expected of all edits"
        ),
    ] = 0.005,
    apply: Annotated[
        str,
        typer.Option(
            "--apply",
            help="numbers of the edits to apply, as in 1,3; or all: one after the other until the limits are kept, or none helps",
            show_default=False,
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="with --apply: the TOML file of the edited architecture to write", show_default=False
        ),
    ] = None,
    device: DeviceOption = "",
    settings: SetOption = None,
    profile: ProfileOption = "",
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Says which edits of an architecture the patterns of earlier searches suggest, and what each would save.

    Latency is that of the live network's device by its estimator, or of --device, which is measured for it. Without an
    earlier search the patterns are those of the published article, which were not measured on this device or data.

    Examples:

        fingerpost nas advise network.toml

        fingerpost nas advise network.toml --latency-ms 0.2 --apply all --output faster.toml
    """
    from fingerpost.flows.domains.nas.advise import Goal, advise_on

    advise_on(
        network,
        Goal(latency_ms, memory_bytes, parameters),
        apply=apply,
        output=output,
        accuracy=accuracy,
        device=device,
        settings=tuple(settings or ()),
        profile=profile,
        as_json=as_json,
        collection=collection or None,
        store=store or None,
    )


def front(
    onnx: Annotated[
        Path | None,
        typer.Option("--onnx", help="the ONNX file (.onnx) of the live network to write", show_default=False),
    ] = None,
    architecture: Annotated[
        Path | None,
        typer.Option("--architecture", help="the TOML file of its architecture to write", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Shows the Pareto front of the live network's search: accuracy, latency, memory and size; writes the network.

    Examples:

        fingerpost nas front

        fingerpost nas front --onnx network.onnx --architecture network.toml
    """
    from fingerpost.flows.domains.nas.front import front as shown

    shown(onnx=onnx, architecture=architecture, as_json=as_json, collection=collection or None, store=store or None)


def predict(
    source: Annotated[
        str,
        typer.Option(
            "--input",
            "-i",
            help="an image, a folder of images, Parquet (id, image), a NumPy archive (.npz), or digits",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="the Parquet (.parquet), JSON Lines (.jsonl) or for classes CSV (.csv) file to write; by default the first"
            " predictions are shown",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", "-m", help="column here = column of the file, for example id=name", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    collection: CollectionOption = "",
    store: StoreOption = "",
) -> None:
    """Predicts the classes of images, or of their pixels, with the live network, by onnxruntime or else torch.

    Examples:

        fingerpost nas predict --input photos/ --output classes.csv

        fingerpost nas predict --input digits
    """
    from fingerpost.flows.commands.options import pair
    from fingerpost.flows.domains.nas.predict import predict as predicted

    predicted(
        source,
        output=output,
        mapping=dict(pair(text, "--map", "id=column") for text in columns or ()),
        as_json=as_json,
        collection=collection or None,
        store=store or None,
    )
