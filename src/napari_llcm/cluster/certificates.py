"""Keys by which a workstation and a laptop know each other: made once, copied as one file.

A certificate authority of one use signs two certificates, and its own key is then forgotten: one
for the scheduler and the workers, one for those who send jobs, which cannot pass for a scheduler.
dask asks both sides for a certificate and, as clusters move, compares no host names.
"""

from __future__ import annotations

import datetime
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..events import UserError
from ..volumes.atomic import write_text

_YEARS = 10
_ADDRESS = re.compile(r"^address: (\S+)$", re.MULTILINE)
MISSING = 'To compute on other machines, run: pip install "napari-llcm[cluster]"'


@dataclass(frozen=True)
class Keys:
    """The two key files of a workstation.

    Parameters
    ----------
    server : Path
        Certificate, private key and authority of scheduler and workers.
    client : Path
        Those of who sends jobs, with the address.
    """

    server: Path
    client: Path


def make_keys(folder: Path, address: str) -> Keys:
    """Return the key files of a folder, made where there are none.

    Parameters
    ----------
    folder : Path
        Nobody else can look into it.
    address : str
        Of the scheduler; it is told in the file for those who send jobs.

    Raises
    ------
    UserError
        If they cannot be written, or `cryptography` is not installed.
    """
    keys = Keys(folder / "workstation.pem", folder / "laptop.pem")
    there = keys.server.exists() and keys.client.exists()
    if there and address_in(keys.client) == address:
        return keys
    if there:  # the same keys; the computer has moved
        kept = keys.client.read_text("utf-8").partition("-----BEGIN")
        _write_private(keys.client, _headed(address, kept[1] + kept[2]))
        return keys
    folder.mkdir(parents=True, exist_ok=True)
    os.chmod(folder, 0o700)
    server, client = _signed()
    _write_private(keys.server, server)
    _write_private(keys.client, _headed(address, client))
    return keys


def address_in(path: Path) -> str:
    """Return the address that a key file tells.

    Raises
    ------
    UserError
        If it is no such file.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise UserError(
            f"The key file {path} cannot be read: copy it from the workstation, where napari-llcm "
            "worker has made it."
        ) from error
    found = _ADDRESS.search(text)
    if found is None or "PRIVATE KEY" not in text:
        raise UserError(
            f"{path} is no key file: copy laptop.pem from the workstation, where napari-llcm "
            "worker has made it."
        )
    return found[1]


def _headed(address: str, blocks: str) -> str:
    """Return the text of a key file; what stands before its blocks is skipped by OpenSSL."""
    return f"napari-llcm: who has this file can run programs there\naddress: {address}\n{blocks}"


def _write_private(path: Path, text: str) -> None:
    write_text(path, text)
    os.chmod(path, 0o600)


def _signed() -> tuple[str, str]:
    """Return the blocks of the server's and of the client's key file."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    except ImportError as error:
        raise UserError(MISSING) from error
    now = datetime.datetime.now(datetime.UTC)

    def certificate(name: str, key: Any, issuer: str, signed_by: Any, *uses: Any) -> Any:
        """Return a certificate; without uses, that of the authority."""
        names = [
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"napari-llcm {each}")])
            for each in (name, issuer)
        ]
        made = (
            x509.CertificateBuilder()
            .subject_name(names[0])
            .issuer_name(names[1])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
            .not_valid_after(now + datetime.timedelta(days=365 * _YEARS))
            .add_extension(x509.BasicConstraints(ca=not uses, path_length=None), critical=True)
        )
        if uses:
            made = made.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        return made.sign(signed_by, hashes.SHA256())

    authority, server, client = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = certificate("authority", authority, "authority", authority)
    serving, asking = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    issued = (
        (server, certificate("workstation", server, "authority", authority, serving, asking)),
        (client, certificate("laptop", client, "authority", authority, asking)),
    )
    made = [_pem(own) + _pem_key(key) + _pem(root) for key, own in issued]
    return made[0], made[1]


def _pem(certificate: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    text: str = certificate.public_bytes(Encoding.PEM).decode()
    return text


def _pem_key(key: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    text: str = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return text
