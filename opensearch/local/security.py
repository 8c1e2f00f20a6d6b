"""The security plugin's settings and first contents: TLS everywhere, one administrator."""

import json
import secrets
import string
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from opensearch.errors import EngineError
from opensearch.local.state import Login
from opensearch.local.tls import ADMIN_DN, NODE_DN, Certificates, issue_certificates, missing_extra

ADMIN = "admin"
# The plugin reads its first contents from a folder of this name below the config folder.
CONTENTS_FOLDER = "opensearch-security"
_AUTHORITY, _NODE, _NODE_KEY = "authority.pem", "node.pem", "node.key"
_PASSWORD_LENGTH = 24


class Security(StrEnum):
    """What a node does about the security plugin."""

    ABSENT = "absent"
    OFF = "off"
    ON = "on"


def security_settings(security: Security) -> dict[str, Any]:
    """The plugin's part of `opensearch.yml`; a node without the plugin refuses these."""
    if security is Security.ABSENT:
        return {}
    if security is Security.OFF:
        return {"plugins.security.disabled": True}
    tls = {
        "pemcert_filepath": _NODE,
        "pemkey_filepath": _NODE_KEY,
        "pemtrustedcas_filepath": _AUTHORITY,
    }
    prefix = "plugins.security"
    return {
        **{f"{prefix}.ssl.transport.{key}": value for key, value in tls.items()},
        f"{prefix}.ssl.http.enabled": True,
        **{f"{prefix}.ssl.http.{key}": value for key, value in tls.items()},
        "transport.ssl.enforce_hostname_verification": True,
        f"{prefix}.authcz.admin_dn": [ADMIN_DN],
        f"{prefix}.nodes_dn": [NODE_DN],
        f"{prefix}.restapi.roles_enabled": ["all_access"],
        f"{prefix}.system_indices.enabled": True,
        f"{prefix}.allow_default_init_securityindex": True,
    }


def security_contents(password_hash: str) -> dict[str, dict[str, Any]]:
    """The files that fill a new security index, by name.

    Args:
        password_hash: bcrypt hash of the administrator's password.
    """
    basic = {
        "http_enabled": True,
        "transport_enabled": True,
        "order": 0,
        "http_authenticator": {"type": "basic", "challenge": True},
        "authentication_backend": {"type": "intern"},
    }
    administrator = {"hash": password_hash, "reserved": True, "backend_roles": [ADMIN]}
    http = {"anonymous_auth_enabled": False}
    return {
        "config": _typed(
            "config", {"config": {"dynamic": {"http": http, "authc": {"basic": basic}}}}
        ),
        "internal_users": _typed("internalusers", {ADMIN: administrator}),
        "roles": _typed("roles", {}),
        "roles_mapping": _typed("rolesmapping", {"all_access": {"backend_roles": [ADMIN]}}),
        "action_groups": _typed("actiongroups", {}),
        "tenants": _typed("tenants", {}),
    }


def node_files(certificates: Certificates, password_hash: str) -> dict[str, str]:
    """What a secured node finds in its config folder: text by relative path."""
    contents = security_contents(password_hash)
    return {
        _AUTHORITY: certificates.authority,
        _NODE: certificates.node,
        _NODE_KEY: certificates.node_key,
        # JSON is YAML.
        **{f"{CONTENTS_FOLDER}/{name}.yml": json.dumps(value) for name, value in contents.items()},
    }


def secure_engine(files: Path) -> tuple[Login, Mapping[str, str]]:
    """Have a login and fresh certificates for the engine that keeps its files there.

    The password is made once, as the security index keeps it; the certificates at each start.

    Args:
        files: The engine's folder.

    Returns:
        How clients log in, and the files for each node's config folder.

    Raises:
        EngineError: A library of the extra `secure` is not installed.
    """
    login = Login(ADMIN, files / "admin-password", files / _AUTHORITY)
    certificates = issue_certificates()
    if not login.password_file.exists() or not login.password:
        login.password_file.touch(mode=0o600)
        login.password_file.write_text(new_password() + "\n", encoding="utf-8")
    login.ca_file.write_text(certificates.authority, encoding="utf-8")
    login.ca_file.chmod(0o644)
    return login, node_files(certificates, hash_password(login.password))


def new_password() -> str:
    """A random password with what the plugin's rules ask for."""
    kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "-_.")
    letters = [secrets.choice(kind) for kind in kinds]
    letters += [secrets.choice("".join(kinds)) for _ in range(_PASSWORD_LENGTH - len(kinds))]
    secrets.SystemRandom().shuffle(letters)
    return "".join(letters)


def hash_password(password: str) -> str:
    """bcrypt, as the plugin's internal users have it.

    Raises:
        EngineError: The library `bcrypt` is not installed.
    """
    try:
        import bcrypt
    except ImportError as error:
        raise EngineError(missing_extra("bcrypt")) from error
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(12)).decode()


def _typed(kind: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    return {"_meta": {"type": kind, "config_version": 2}, **entries}
