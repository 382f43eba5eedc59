"""Alerts that people get once, however many watchers notice the same event. Imports no Prefect.

An alert is a file that one writer creates. Each delivery attempt is a separate file, so that two watchers do not
send it twice, and the next watch retries a delivery that failed. The webhook's address is a secret: it comes
from the environment and is in no file, log or error.
"""

import http.client
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fingerpost.schemas.errors import CorruptArtifactError, FingerpostError
from fingerpost.schemas.records import decoded, is_record, leave_out, moment
from fingerpost.schemas.refs import checked_day, checked_name
from fingerpost.schemas.store import Store
from fingerpost.schemas.urls import without_credentials
from fingerpost.schemas.wording import bounded

#: The environment variable with the address that alerts are posted to.
WEBHOOK = "FINGERPOST_WEBHOOK"
_FOLDER = ".alerts"
_TIMEOUT_SECONDS = 10.0
#: An attempt without an outcome counts as failed after this long: its watcher was killed.
_ATTEMPT_ENDS = timedelta(minutes=2)
#: Older alerts are not delivered any more.
_STALE = timedelta(days=3)


_SHAPE = {"kind": str, "flow": str, "collection": str, "day": str, "text": str, "at": moment}


class WebhookError(FingerpostError):
    """The receiver of alerts did not accept one."""


@dataclass(frozen=True)
class Alert:
    """An alert: ``kind`` is failed, crashed or late; ``occasion`` distinguishes several of one day."""

    kind: str
    flow: str
    collection: str
    day: str
    text: str
    occasion: str = ""
    run: str = ""
    at: str = ""

    @property
    def name(self) -> str:
        """The name that it is stored under."""
        kind, flow, collection = (checked_name(part) for part in (self.kind, self.flow, self.collection))
        occasion = f"-{checked_name(self.occasion, what='occasion')}" if self.occasion else ""
        return f"{kind}-{flow}-{collection}-{checked_day(self.day)}{occasion}"


def raise_alert(store: Store, alert: Alert, *, now: datetime | None = None) -> bool:
    """Stores and delivers an alert; returns whether it is new. A failed delivery raises nothing: a watch retries it."""
    now = now or datetime.now(UTC)
    body = {
        **asdict(alert),
        "text": bounded(without_secrets(alert.text)),
        "at": alert.at or now.isoformat(timespec="seconds"),
    }
    if not store.files.create(f"{_FOLDER}/{alert.name}.json", json.dumps(body, indent=1).encode()):
        return False
    with suppress(WebhookError):
        _deliver(store, alert.name, body, now=now)
    return True


def redeliver(store: Store, *, now: datetime | None = None) -> dict[str, str]:
    """Delivers pending alerts; returns by name "sent" or the reason why not."""
    now = now or datetime.now(UTC)
    outcomes = {}
    for name in undelivered(store, now=now):
        try:
            if _deliver(store, name, _read(store, name), now=now):
                outcomes[name] = "sent"
        except (WebhookError, CorruptArtifactError, FileNotFoundError) as problem:
            outcomes[name] = str(problem)
    return outcomes


def undelivered(store: Store, *, now: datetime | None = None) -> list[str]:
    """The names of the alerts that are not delivered yet and not too old."""
    now = now or datetime.now(UTC)
    files = set(store.files.names(_FOLDER))
    names = (name.removesuffix(".json") for name in sorted(files) if is_record(name))
    return [name for name in names if f"{name}.sent" not in files and not _older(store, name, now - _STALE)]


def alerts(store: Store, *, prefix: str = "") -> Iterator[dict[str, Any]]:
    """Every alert whose name begins with ``prefix``, and whether it was delivered."""
    files = set(store.files.names(_FOLDER))
    for name in sorted(files):
        if is_record(name) and name.startswith(prefix):
            try:
                body = _read(store, name.removesuffix(".json"))
            except FileNotFoundError:
                continue
            except CorruptArtifactError as problem:
                leave_out(problem)
                continue
            yield {**body, "delivered": f"{name.removesuffix('.json')}.sent" in files}


def post(text: str, fields: dict[str, Any]) -> bool:
    """Posts JSON with ``text`` and ``fields`` to the webhook; False without one, WebhookError if it refuses."""
    address = os.environ.get(WEBHOOK, "")
    if not address:
        return False
    try:
        request = urllib.request.Request(
            address,
            data=json.dumps({"text": text, **fields}).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "fingerpost"},
        )
        if request.type not in {"http", "https"}:
            raise ValueError
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            answer.read(1024)
    # Neither the cause nor its text is chained: both may quote the address.
    except urllib.error.HTTPError as problem:
        raise WebhookError(
            f"the webhook: expected it to accept the alert, got status {problem.code}; fix {WEBHOOK} or its receiver"
        ) from None
    except (OSError, ValueError, http.client.HTTPException) as problem:
        raise WebhookError(
            f"the webhook: expected it to accept the alert, got {type(problem).__name__}; fix {WEBHOOK} or its receiver"
        ) from None
    return True


def without_secrets(text: str) -> str:
    """A text with the webhook's address and the credentials of URLs removed."""
    address = os.environ.get(WEBHOOK, "")
    return without_credentials(text.replace(address, "the webhook") if address else text)


def _deliver(store: Store, name: str, body: dict[str, Any], *, now: datetime) -> bool:
    """Makes one attempt, unless no webhook is set or another watcher is making one."""
    if not os.environ.get(WEBHOOK) or not (attempt := _claim(store, name, now)):
        return False
    try:
        post(body["text"], {key: value for key, value in body.items() if key != "text" and value})
    except WebhookError as problem:
        store.files.write(attempt, json.dumps({"at": now.isoformat(), "failed": str(problem)}).encode())
        raise
    store.files.write(f"{_FOLDER}/{name}.sent", json.dumps({"at": now.isoformat()}).encode())
    store.files.remove(attempt)
    return True


def _claim(store: Store, name: str, now: datetime) -> str:
    """The file of a new attempt that this process owns; empty if another one is running or has succeeded."""
    files = store.files.names(_FOLDER)
    if f"{name}.sent" in files:
        return ""
    form = re.compile(re.escape(name) + r"\.attempt-\d{6}")
    earlier = sorted(filter(form.fullmatch, files))
    if earlier:
        # An attempt that cannot be read has failed.
        with suppress(FileNotFoundError, CorruptArtifactError):
            content = store.files.read(f"{_FOLDER}/{earlier[-1]}")
            last = decoded(content, {"at": moment}, where=earlier[-1], advice="remove it")
            if "failed" not in last and now - datetime.fromisoformat(last["at"]) < _ATTEMPT_ENDS:
                return ""
    number = 1 + (int(earlier[-1].rsplit("-", 1)[1]) if earlier else 0)
    attempt = f"{_FOLDER}/{name}.attempt-{number:06d}"
    if not store.files.create(attempt, json.dumps({"at": now.isoformat()}).encode()):
        return ""
    # Another watcher may have succeeded between the check and the claim, and removed its attempt.
    if store.files.size(f"{_FOLDER}/{name}.sent") is not None:
        store.files.remove(attempt)
        return ""
    for old in earlier:
        store.files.remove(f"{_FOLDER}/{old}")
    return attempt


def _read(store: Store, name: str) -> dict[str, Any]:
    """The alert of a name; FileNotFoundError if there is none, CorruptArtifactError if it cannot be read."""
    path = f"{_FOLDER}/{name}.json"
    found: dict[str, Any] = decoded(store.files.read(path), _SHAPE, where=f"alert {path}", advice="remove that file")
    return found


def _older(store: Store, name: str, than: datetime) -> bool:
    try:
        return datetime.fromisoformat(_read(store, name)["at"]) < than
    except FileNotFoundError:
        return True
    except CorruptArtifactError as problem:
        leave_out(problem)
        return True
