"""How to reach the cluster: from arguments, the environment and a file, in that order."""

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from opensearch.errors import NoAddressError, SettingsError

ENVIRONMENT_PREFIX = "TANDEM_OPENSEARCH_"
CONFIG_VARIABLE = "TANDEM_CONFIG"
CONFIG_FILE = "tandem.toml"
CONFIG_SECTION = "opensearch"


class ClusterSettings(BaseModel):
    """Address, credentials and time limits of one OpenSearch cluster.

    The password never appears in ``repr``, logs or messages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(description="http(s)://host:port; several are separated by commas")
    user: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = Field(None, description="PEM file of the authority to trust")
    verify_certs: bool = True
    timeout_s: float = Field(60.0, gt=0, description="limit of one request")
    max_retries: int = Field(3, ge=0, description="tries after a broken connection")
    startup_wait_s: float = Field(60.0, ge=0, description="wait for a security plugin that starts")

    @field_validator("url")
    @classmethod
    def _only_http(cls, value: str) -> str:
        for url in value.split(","):
            if "@" in url:  # it would be printed wherever the address is
                msg = (
                    "an address holds no user or password; set "
                    f"{ENVIRONMENT_PREFIX}USER and {ENVIRONMENT_PREFIX}PASSWORD"
                )
                raise ValueError(msg)
            if not url.strip().startswith(("http://", "https://")):
                msg = f"{url.strip()!r} must start with http:// or https://"
                raise ValueError(msg)
        return value

    @field_validator("ca_file")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            msg = f"{value} is not a file"
            raise ValueError(msg)
        return value

    @property
    def urls(self) -> list[str]:
        """Every address of the cluster."""
        return [url.strip().rstrip("/") for url in self.url.split(",")]


def load_settings(url: str | None = None, **overrides: Any) -> ClusterSettings:
    """Merge arguments over environment over file.

    Args:
        url: Address from the command line; wins over everything.
        overrides: Other fields of ``ClusterSettings``; ``None`` means not given.

    Raises:
        SettingsError: A value is malformed, a key is unknown, or no address is known.
    """
    given = {key: value for key, value in {"url": url, **overrides}.items() if value is not None}
    values = {**_from_file(), **_from_environment(), **given}
    if "url" not in values:
        msg = (
            "No OpenSearch address. Start the local engine with `tandem engine start`, pass "
            f"--url, set {ENVIRONMENT_PREFIX}URL, or write `url` under [{CONFIG_SECTION}] in "
            f"{CONFIG_FILE}."
        )
        raise NoAddressError(msg)
    try:
        return ClusterSettings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error


def _from_environment() -> dict[str, Any]:
    names = ClusterSettings.model_fields
    found = {name: os.environ.get(ENVIRONMENT_PREFIX + name.upper()) for name in names}
    return {name: value for name, value in found.items() if value}


def _from_file() -> dict[str, Any]:
    named = os.environ.get(CONFIG_VARIABLE)
    path = Path(named or CONFIG_FILE)
    if not path.is_file():
        if named:
            msg = f"{CONFIG_VARIABLE} names {path}, which is not a file"
            raise SettingsError(msg)
        return {}
    try:
        section = tomllib.loads(path.read_text(encoding="utf-8")).get(CONFIG_SECTION, {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path} is not valid TOML: {error}"
        raise SettingsError(msg) from error
    if not isinstance(section, dict):
        msg = f"{path}: [{CONFIG_SECTION}] must be a table"
        raise SettingsError(msg)
    return section


def _explain(error: ValidationError) -> str:
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = list(ClusterSettings.model_fields)
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            lines.append(f"unknown setting {name}; {hint}")
        else:
            lines.append(f"{name}: {fault['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)
