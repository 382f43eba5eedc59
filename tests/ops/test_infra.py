"""The files of infra/ that deploy Fingerpost: valid, consistent with each other and with the code, and without secrets."""

import asyncio
import gc
import logging
import re
import shlex
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main
import yaml

from fingerpost.flows.cli import app
from fingerpost.flows.domains.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
MANIFESTS = [
    (path.name, body)
    for path in sorted((INFRA / "kubernetes").glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for body in yaml.safe_load_all(path.read_text())
]
NAMES = [f"{name} {body['kind']} {body['metadata']['name']}" for name, body in MANIFESTS]
KUSTOMIZATION = (INFRA / "kubernetes" / "kustomization.yaml").read_text()
COMPOSE = yaml.safe_load((INFRA / "compose.yaml").read_text())
DOCKERFILE = (INFRA / "Dockerfile").read_text()
COMMANDS = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
#: Programs of the image besides our own.
PROGRAMS = {"prefect", "dask", "python", "sh"}
PINNED = re.compile(r"^[\w./-]+:(v?\d+\.\d+[\w.-]*|RELEASE\.\d{4}[\w.-]*)(@sha256:[0-9a-f]{64})?$")


def pods() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The (name, labels, pod spec) of everything that runs pods."""
    for _, body in MANIFESTS:
        if "template" in body.get("spec", {}):
            template = body["spec"]["template"]
            yield body["metadata"]["name"], template["metadata"]["labels"], template["spec"]


def named(kind: str) -> dict[str, dict[str, Any]]:
    return {body["metadata"]["name"]: body for _, body in MANIFESTS if body["kind"] == kind}


def check_command(command: list[str]) -> None:
    """A command line must begin with a program of the image, and one of ours with a command that exists."""
    if command[0] == "sh":
        for part in re.split(r"&&|;", command[2]):
            check_command([word for word in shlex.split(part) if word != "exec"])
        return
    assert command[0] in PROGRAMS | {"fingerpost"}, command
    if command[0] == "fingerpost":
        assert command[1] in COMMANDS, command


@pytest.mark.parametrize(("name", "body"), MANIFESTS, ids=NAMES)
def test_a_manifest_fits_its_schema(name: str, body: dict[str, Any]) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for version in ("1.29", "1.34"):
        validate.validate(body, version, strict=True)


def test_every_manifest_is_applied() -> None:
    listed = set(yaml.safe_load(KUSTOMIZATION)["resources"])
    assert listed == {name for name, _ in MANIFESTS}


@pytest.mark.parametrize(("name", "labels", "pod"), list(pods()), ids=[name for name, _, _ in pods()])
def test_a_pod_is_pinned_limited_probed_and_unprivileged(
    name: str, labels: dict[str, str], pod: dict[str, Any]
) -> None:
    security = pod["securityContext"]
    assert security["runAsNonRoot"]
    assert security["runAsUser"]
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert PINNED.match(container["image"]), container["image"]
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        own = container["securityContext"]
        assert (own["allowPrivilegeEscalation"], own["readOnlyRootFilesystem"]) == (False, True)
        assert own["capabilities"] == {"drop": ["ALL"]}
        check_command(container["command"])
        if pod.get("restartPolicy") != "OnFailure":
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def test_what_pods_refer_to_is_there() -> None:
    promised = set(re.findall(r"--from-literal=([\w-]+)=", KUSTOMIZATION))
    files = set(re.findall(r"--from-file=([\w.]+)", KUSTOMIZATION))
    secrets = set(re.findall(r"create secret generic ([\w-]+)", KUSTOMIZATION))
    configured: dict[str, str] = {}
    for body in named("ConfigMap").values():
        configured |= body["data"]
    for _, _, pod in pods():
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in named("PersistentVolumeClaim")
            if "secret" in volume:
                assert volume["secret"]["secretName"] in secrets
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes)
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if probe in container:
                    assert container[probe]["httpGet"]["port"] in ports
            for source in container.get("envFrom", []):
                assert source["configMapRef"]["name"] in named("ConfigMap")
            for variable in container.get("env", []):
                if "valueFrom" in variable:
                    reference = variable["valueFrom"]["secretKeyRef"]
                    assert reference["name"] in secrets
                    assert reference["key"] in promised or reference.get("optional")
    for path in (value for value in configured.values() if value.startswith("/tls/")):
        assert path.removeprefix("/tls/") in files


def test_services_and_policies_select_pods_and_their_ports() -> None:
    running = [(labels, pod) for _, labels, pod in pods()]

    def selected(labels: dict[str, str]) -> list[dict[str, Any]]:
        return [pod for found, pod in running if labels.items() <= found.items()]

    for service in named("Service").values():
        [pod] = selected(service["spec"]["selector"])
        open_ports = {port["name"]: port["containerPort"] for c in pod["containers"] for port in c.get("ports", [])}
        for port in service["spec"]["ports"]:
            assert open_ports[port["targetPort"]] == port["port"]
    for policy in named("NetworkPolicy").values():
        chosen = policy["spec"]["podSelector"].get("matchLabels", {})
        assert not chosen or len(selected(chosen)) == 1
        for rule in policy["spec"].get("ingress", []):
            open_numbers = {
                port["containerPort"] for pod in selected(chosen) for c in pod["containers"] for port in c["ports"]
            }
            assert {port["port"] for port in rule["ports"]} <= open_numbers
            for source in rule["from"]:
                if "podSelector" in source:
                    assert selected(source["podSelector"]["matchLabels"])
    for name, body in named("Deployment").items():
        assert (
            body["spec"]["selector"]["matchLabels"].items() <= body["spec"]["template"]["metadata"]["labels"].items()
        ), name


def hosts(text: str) -> set[str]:
    """The (host, port) pairs of the addresses inside a text that name no domain."""
    return set(re.findall(r"(?:tcp|tls|http)://([a-z-]+:\d+)", text))


def test_addresses_name_services_and_settings_exist() -> None:
    offered = {f"{name}:{port['port']}" for name, body in named("Service").items() for port in body["spec"]["ports"]}
    assert hosts("\n".join(str(body) for _, body in MANIFESTS)) <= offered
    assert hosts(str(COMPOSE)) <= {"server:4200", "dask-scheduler:8786", "minio:9000", "prometheus:9090"}
    assert {host.split(":")[0] for host in hosts(str(COMPOSE))} <= set(COMPOSE["services"])
    texts = "\n".join(path.read_text() for path in (INFRA / "kubernetes").glob("*.yaml")) + str(COMPOSE)
    for section, key in set(re.findall(r"FINGERPOST_SET_([A-Z]+)__([A-Z_]+)", texts)):
        assert hasattr(getattr(Settings(), section.lower()), key.lower())


def test_compose_refers_to_what_is_there() -> None:
    services = COMPOSE["services"]
    for name, service in services.items():
        assert PINNED.match(service["image"]), name
        for other in service.get("depends_on", {}):
            assert other in services
            if (
                isinstance(service["depends_on"], dict)
                and service["depends_on"][other]["condition"] == "service_healthy"
            ):
                own = services[other]["image"].startswith("fingerpost:")
                assert "healthcheck" in services[other] or own, f"{other} has no health to wait for"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0] if not volume.startswith("$") else ""
            if source.startswith("."):
                assert (INFRA / source).exists(), source
            elif source:
                assert source in COMPOSE["volumes"]
        for config in service.get("configs", []):
            yaml.safe_load(COMPOSE["configs"][config["source"]]["content"])
        for secret in service.get("secrets", []):
            assert secret in COMPOSE["secrets"]
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} would listen on every address"
        if service["image"].startswith("fingerpost:"):
            assert (INFRA / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
            check_command(service.get("entrypoint") or ["fingerpost", *service["command"]])
    scrape = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])["scrape_configs"]
    targets = [target for job in scrape for given in job["static_configs"] for target in given["targets"]]
    assert {target.split(":")[0] for target in targets} <= set(services)


def test_variables_and_options_of_prefect_and_dask_exist() -> None:
    from distributed.cli import dask_scheduler, dask_worker
    from prefect.settings import Settings as PrefectSettings
    from prefect.settings.legacy import _get_settings_fields

    known = set(_get_settings_fields(PrefectSettings))
    texts = "\n".join(path.read_text() for path in (INFRA / "kubernetes").glob("*.yaml")) + str(COMPOSE) + DOCKERFILE
    assert set(re.findall(r"\bPREFECT_[A-Z_]+\b", texts)) <= known
    commands = [c["command"] for _, _, pod in pods() for c in pod["containers"]]
    commands += [service["entrypoint"] for service in COMPOSE["services"].values() if "entrypoint" in service]
    options = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
    for command in (given for given in commands if given[0] == "dask"):
        accepted = {name for parameter in options[command[1]].params for name in parameter.opts}
        assert {word for word in command if word.startswith("--")} <= accepted


def test_no_secret_is_written_down() -> None:
    looks_secret = re.compile(r"(?i)(password|secret_access|access_key|auth_string|auth$|token)")
    for name, service in COMPOSE["services"].items():
        for key, value in service.get("environment", {}).items():
            if looks_secret.search(key):
                assert re.search(r"\$\{\w+:\?", str(value)), f"{name}: {key} must come from the environment"
    for _, body in MANIFESTS:
        assert body["kind"] != "Secret"
        for key in body.get("data", {}):
            assert not looks_secret.search(key)
    for _, _, pod in pods():
        for variable in (v for container in pod["containers"] for v in container.get("env", [])):
            assert not looks_secret.search(variable["name"]) or "secretKeyRef" in variable["valueFrom"]
    assert not re.search(r"(?im)^\s*(env|arg)\s+\S*(password|secret|token)", DOCKERFILE)


def test_the_image_is_pinned_unprivileged_and_whole() -> None:
    lines = re.sub(r"\\\n\s*", " ", DOCKERFILE).splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    bases = [given.split()[0] for word, given in steps if word == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert all(re.match(r"^python:3\.\d+\.\d+-slim-\w+$", base) for base in bases)
    assert not [given for word, given in steps if word == "ADD"]
    final = steps[[n for n, (word, _) in enumerate(steps) if word == "FROM"][-1] :]
    words = [word for word, _ in final]
    assert re.match(r"^[1-9]\d*:[1-9]\d*$", final[words.index("USER")][1])
    assert words.index("USER") > words.index("RUN"), "nothing is installed by the user that runs it"
    assert {"HEALTHCHECK", "ENTRYPOINT"} <= set(words)
    check_command(["fingerpost", "run"])
    assert 'ENTRYPOINT ["fingerpost"]' in DOCKERFILE
    assert "PIP_CONSTRAINT=/src/constraints.txt" in DOCKERFILE
    ignored = (INFRA / "Dockerfile.dockerignore").read_text().splitlines()
    for word, given in steps:
        if word == "COPY" and "--from" not in given:
            for source in given.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in ignored, f"{source} is kept out of the build"
    extras = set(re.search(r"\.\[([\w,]+)\]", DOCKERFILE).group(1).split(","))  # type: ignore[union-attr]
    assert extras <= set(re.findall(r"(?m)^(\w+) = \[", (ROOT / "pyproject.toml").read_text()))


def test_pages_may_ask_the_api_that_they_are_told_and_nobody_else() -> None:
    from fingerpost.flows.run.server_process import policy

    assert "connect-src 'self';" in policy("")
    assert "connect-src 'self' https://api.example:8443 wss://api.example:8443;" in policy(
        "https://api.example:8443/api"
    )


def test_freeing_an_error_of_the_database_waits_for_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the event loop does meanwhile; waiting would take the 20 seconds."""
    import aiosqlite
    from prefect.server.database.configurations import AioSqliteConfiguration
    from sqlalchemy.exc import IntegrityError

    from fingerpost.flows.run import server_process as server

    async def seconds() -> float:
        engine = await AioSqliteConfiguration(connection_url=f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}").engine()
        async with engine.connect() as writing, engine.connect() as waiting:
            await writing.exec_driver_sql("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY)")
            await writing.exec_driver_sql("INSERT OR IGNORE INTO t VALUES (1)")
            await waiting.exec_driver_sql("PRAGMA busy_timeout = 20000")
            with pytest.raises(IntegrityError) as failed:
                await waiting.exec_driver_sql("INSERT INTO t VALUES (1)")
            await writing.exec_driver_sql("BEGIN IMMEDIATE")
            queued = asyncio.create_task(waiting.exec_driver_sql("DELETE FROM t"))
            await asyncio.sleep(0.5)
            began = time.monotonic()
            del failed
            gc.collect()
            took = time.monotonic() - began
            await writing.exec_driver_sql("COMMIT")
            await asyncio.wait([queued])
            return took

    monkeypatch.setattr(aiosqlite.Cursor, "_execute", aiosqlite.Cursor._execute)
    server.close_failed_cursors()
    assert asyncio.run(seconds()) < 10


def test_a_transaction_that_read_first_writes_after_another_has_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite refuses such a write at once, unless the transaction took its turn to write when it began."""
    from prefect.server.database.configurations import AioSqliteConfiguration
    from sqlalchemy import text

    from fingerpost.flows.run import server_process as server

    async def added() -> int:
        database = AioSqliteConfiguration(connection_url=f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}")
        engine = await database.engine()
        began = asyncio.Event()

        async def add(*, first: bool) -> None:
            if not first:
                await began.wait()
            async with await database.session(engine) as session, database.begin_transaction(session):
                count = (await session.execute(text("SELECT count(*) FROM t"))).scalar_one()
                if first:
                    began.set()
                    # The other one writes and commits meanwhile, if it can.
                    await asyncio.sleep(0.5)
                await session.execute(text("INSERT INTO t VALUES (:number)"), {"number": count})

        async with engine.connect() as making:
            await making.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        await asyncio.gather(add(first=True), add(first=False))
        async with engine.connect() as reading:
            return int((await reading.exec_driver_sql("SELECT count(*) FROM t")).scalar_one())

    monkeypatch.setattr(AioSqliteConfiguration, "begin_transaction", AioSqliteConfiguration.begin_transaction)
    server.write_in_turn()
    assert asyncio.run(added()) == 2


def test_servers_of_one_file_make_its_tables_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fingerpost.flows.run import server_process as server

    inside, most = [0], [0]

    def upgrading() -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.05)
        inside[0] -= 1

    monkeypatch.setattr(server, "_upgrade", upgrading)
    for url, together in ((f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}", 1), ("postgresql+asyncpg://h/d", 4)):
        monkeypatch.setattr(server, "PREFECT_API_DATABASE_CONNECTION_URL", SimpleNamespace(value=lambda url=url: url))
        most[0] = 0
        threads = [threading.Thread(target=server._upgrade_in_turn) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most[0] == together


def test_a_locked_database_is_told_in_one_line() -> None:
    """Whoever logs it; every other error keeps its traceback."""
    from sqlalchemy.exc import OperationalError

    from fingerpost.flows.run.server_process import _Record

    locked = OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked"))
    for problem, shortened in (
        (locked, True),
        (ExceptionGroup("several", [locked]), True),
        (sqlite3.OperationalError("no such table: t"), False),
        (ValueError("database is locked"), False),
    ):
        found = (type(problem), problem, None)
        record = _Record("prefect.server", logging.ERROR, "x.py", 1, "Error %s", ("flushing",), found)
        assert (record.exc_info is None) == shortened
        assert record.getMessage().startswith(
            "Error flushing (Prefect's database is locked" if shortened else "Error flushing"
        )
