"""Certificates for a secured engine: an authority of its own, and what it vouches for."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opensearch.errors import EngineError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509 import Certificate

ORGANISATION = "tandem"
NODE_DN = f"CN=node,O={ORGANISATION}"
ADMIN_DN = f"CN=admin,O={ORGANISATION}"
# Made anew at each start; an engine that runs longer has other troubles.
_VALID = datetime.timedelta(days=397)
_KEY_BITS = 2048


@dataclass(frozen=True)
class Certificates:
    """What a node needs for TLS, each in PEM.

    Attributes:
        authority: Certificate to trust.
        node: Certificate of every node, for `localhost` and 127.0.0.1.
        node_key: Its private key, without a password.
    """

    authority: str
    node: str
    node_key: str


def issue_certificates() -> Certificates:
    """Make an authority and a node's certificate; the authority's key is forgotten at once.

    Raises:
        EngineError: The library `cryptography` is not installed.
    """
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
    except ImportError as error:
        raise EngineError(missing_extra("cryptography")) from error
    authority_key, node_key = (rsa.generate_private_key(65537, _KEY_BITS) for _ in range(2))
    authority = _authority(authority_key)
    node = _node(node_key, authority, authority_key)
    pem = serialization.Encoding.PEM
    return Certificates(
        authority=authority.public_bytes(pem).decode(),
        node=node.public_bytes(pem).decode(),
        node_key=node_key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )


def missing_extra(library: str) -> str:
    """The message for a library that only secured engines need."""
    return f"A secured engine needs {library}: pip install 'tandem-search[secure]'"


def _authority(key: RSAPrivateKey) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    name = _name("authority")
    usage = {"key_cert_sign": True, "crl_sign": True}
    return (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(**usage), critical=True)
        .sign(key, hashes.SHA256())
    )


def _node(key: RSAPrivateKey, authority: Certificate, authority_key: RSAPrivateKey) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    names = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    # Nodes are servers for clients and clients of each other.
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    usage = {"digital_signature": True, "key_encipherment": True}
    authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _builder(_name("node"), authority.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(**usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(authority_id, critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: RSAPrivateKey) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks of two processes may differ by a little.
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + _VALID)
        .add_extension(key_id, critical=False)
    )


def _name(common: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    # In this order `rfc4514_string` prints it as the security plugin compares it.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _usage(**allowed: bool) -> x509.KeyUsage:
    from cryptography import x509

    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in every})
