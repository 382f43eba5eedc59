"""The certificate with which the Dask processes of a stack authenticate each other."""

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

_VALID, _RENEW = timedelta(days=365), timedelta(days=30)


def dask_security(folder: Path) -> dict[str, str]:
    """Creates a key and certificate if there are none (or they expire soon); returns Dask's settings that use them.

    The certificate is self-signed, so only a process that can read the key (this user: mode 0600) can join.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    key, certificate = folder / "dask-key.pem", folder / "dask-cert.pem"
    if not _still_good(key, certificate):
        _make(key, certificate)
    prefix = "DASK_DISTRIBUTED__COMM__"
    found = {f"{prefix}REQUIRE_ENCRYPTION": "True", f"{prefix}TLS__CA_FILE": str(certificate)}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        found |= {f"{prefix}TLS__{role}__CERT": str(certificate), f"{prefix}TLS__{role}__KEY": str(key)}
    return found


def _still_good(key: Path, certificate: Path) -> bool:
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        return key.is_file() and found.not_valid_after_utc - datetime.now(UTC) > _RENEW
    except (OSError, ValueError):
        return False


def _make(key: Path, certificate: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fingerpost dask")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    encoding, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    _write_private(key, private.private_bytes(encoding, serialization.PrivateFormat.PKCS8, no_password))
    _write_private(certificate, made.public_bytes(encoding))


def _write_private(path: Path, data: bytes) -> None:
    """Writes a file that no other user can read at any moment."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
