"""TLS on a wire: an authority of our own, and certificates by it that are good, or bad in one way."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness.errors import UsageProblem

_HOSTS = ("localhost", "127.0.0.1")
_ELSEWHERE = ("elsewhere.invalid",)
_DAY = timedelta(days=1)
#: way of tls_certificate → when it is valid, from today; others are valid now
_VALID = {"expired": (-30 * _DAY, -_DAY), "early": (_DAY, 30 * _DAY)}


class Authority:
    """Signs certificates for one wire. A target trusts it through its own settings (option ``ca_file``)."""

    def __init__(self, hosts: Sequence[str] = _HOSTS) -> None:
        self._hosts = tuple(hosts)
        self._key, self._certificate = _authority("qharness wires")
        self._contexts: dict[str, ssl.SSLContext] = {}

    @property
    def pem(self) -> bytes:
        """What to trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def context(self, way: str = "") -> ssl.SSLContext:
        """What a server shows: a good certificate, or one that is bad in this way."""
        if way not in self._contexts:
            self._contexts[way] = self._made(way)
        return self._contexts[way]

    def _made(self, way: str) -> ssl.SSLContext:
        # a stranger of the same name: what differs is who signed
        key, issuer = _authority("qharness wires") if way == "issuer" else (self._key, self._certificate)
        hosts = _ELSEWHERE if way == "name" else self._hosts
        since, until = _VALID.get(way, (-_DAY, 365 * _DAY))
        own = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        certificate = (
            _builder(hosts[0], issuer.subject, own)
            .not_valid_before(now + since)
            .not_valid_after(now + until)
            .add_extension(x509.SubjectAlternativeName([_host(h) for h in hosts]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        return _context(own, certificate)


def authority_of(options: Mapping[str, Any]) -> Authority | None:
    """The authority of a wire whose options say ``tls``, told in its ``ca_file``; None: it speaks no TLS."""
    if not options.get("tls"):
        return None
    authority = Authority(options.get("tls_hosts") or _HOSTS)
    if path := options.get("ca_file"):
        try:
            Path(path).write_bytes(authority.pem)
        except OSError as error:
            raise UsageProblem(f"ca_file of a wire can't be written: {error}") from error
    return authority


def towards(options: Mapping[str, Any]) -> ssl.SSLContext | None:
    """How the dependency is spoken to, if it wants TLS (option ``to_tls``; ``to_ca_file``: whom to trust there)."""
    if not options.get("to_tls"):
        return None
    try:
        return ssl.create_default_context(cafile=options.get("to_ca_file"))
    except OSError as error:
        raise UsageProblem(f"to_ca_file of a wire can't be read: {error}") from error


def _authority(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, subject, key)
        .not_valid_before(now - 365 * _DAY)
        .not_valid_after(now + 365 * _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        issuer_name=issuer,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
    )


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _context(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> ssl.SSLContext:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # OpenSSL reads certificates from files only
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM) + private)
        file.flush()
        context.load_cert_chain(file.name)
    return context
