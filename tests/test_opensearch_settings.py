"""Settings: where they come from, what is refused, and that the password stays hidden."""

import traceback
from pathlib import Path

import pytest

from opensearch.client import connect
from opensearch.errors import NoAddressError, SettingsError
from opensearch.settings import ClusterSettings, load_settings

SECRET = "s3cret-pass"


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch, tmp_path):
    for name in (*ClusterSettings.model_fields, "CONFIG"):
        monkeypatch.delenv(f"TANDEM_OPENSEARCH_{name.upper()}", raising=False)
    monkeypatch.delenv("TANDEM_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def write_config(text: str, path: str = "tandem.toml") -> Path:
    file = Path(path)
    file.write_text(text, encoding="utf-8")
    return file


FILE = "http://file:9200"
ENVIRONMENT = "http://environment:9200"
ARGUMENT = "http://argument:9200"


@pytest.mark.parametrize(
    ("argument", "environment", "file", "url"),
    [
        pytest.param(ARGUMENT, ENVIRONMENT, FILE, ARGUMENT, id="argument wins"),
        pytest.param(None, ENVIRONMENT, FILE, ENVIRONMENT, id="environment over file"),
        pytest.param(None, "", FILE, FILE, id="an empty variable is not set"),
        pytest.param(None, None, FILE, FILE, id="file"),
    ],
)
def test_precedence(monkeypatch, argument, environment, file, url) -> None:
    write_config(f'[opensearch]\nurl = "{file}"\n')
    if environment is not None:
        monkeypatch.setenv("TANDEM_OPENSEARCH_URL", environment)
    assert load_settings(argument).url == url


def test_sources_are_merged_field_by_field(monkeypatch) -> None:
    write_config('[opensearch]\nurl = "http://file:9200"\nuser = "file"\ntimeout_s = 5\n')
    monkeypatch.setenv("TANDEM_OPENSEARCH_USER", "environment")
    monkeypatch.setenv("TANDEM_OPENSEARCH_VERIFY_CERTS", "false")
    settings = load_settings(max_retries=1, user=None)
    assert (settings.url, settings.user) == ("http://file:9200", "environment")
    assert (settings.timeout_s, settings.max_retries) == (5.0, 1)
    assert settings.verify_certs is False


def test_a_named_file_is_read_instead_of_the_usual_one(monkeypatch) -> None:
    write_config('[opensearch]\nurl = "http://usual:9200"\n')
    named = write_config('[opensearch]\nurl = "http://named:9200"\n', "other.toml")
    monkeypatch.setenv("TANDEM_CONFIG", str(named))
    assert load_settings().url == "http://named:9200"


def test_without_any_address_the_ways_to_give_one_are_named() -> None:
    with pytest.raises(NoAddressError, match="tandem engine start") as raised:
        load_settings()
    for way in ("--url", "TANDEM_OPENSEARCH_URL", "tandem.toml"):
        assert way in str(raised.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param('ulr = "http://a"', "unknown setting ulr; did you mean url?", id="near"),
        pytest.param("colour = 1", "unknown setting colour; known: url, user", id="far"),
        pytest.param("timeout_s = 0", "timeout_s: Input should be greater than 0", id="zero"),
        pytest.param('timeout_s = "soon"', "timeout_s: Input should be a valid number", id="word"),
        pytest.param("max_retries = -1", "max_retries: ", id="negative"),
        pytest.param('ca_file = "none.pem"', "ca_file: none.pem is not a file", id="no such file"),
    ],
)
def test_values_that_are_refused(config, message) -> None:
    write_config(f"[opensearch]\n{config}\n")
    with pytest.raises(SettingsError) as raised:
        load_settings("http://localhost:9200")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[opensearch", "not valid TOML"),
        ("opensearch = 1", "must be a table"),
    ],
)
def test_files_that_cannot_be_read(text, message) -> None:
    write_config(text)
    with pytest.raises(SettingsError, match=message):
        load_settings("http://localhost:9200")


def test_a_file_in_another_encoding_is_refused() -> None:
    Path("tandem.toml").write_bytes(b'[opensearch]\nuser = "\xff"\n')
    with pytest.raises(SettingsError, match="not valid TOML"):
        load_settings("http://localhost:9200")


def test_a_named_file_must_exist(monkeypatch) -> None:
    monkeypatch.setenv("TANDEM_CONFIG", "missing.toml")
    with pytest.raises(SettingsError, match=r"missing\.toml, which is not a file"):
        load_settings("http://localhost:9200")


@pytest.mark.parametrize("url", ["localhost:9200", "ftp://a", "", "http://a, b:9200"])
def test_addresses_without_scheme_are_refused(url) -> None:
    with pytest.raises(SettingsError, match="must start with http:// or https://"):
        load_settings(url)


def test_several_addresses() -> None:
    assert load_settings("http://a:1/, https://b:2").urls == ["http://a:1", "https://b:2"]


def test_the_password_is_never_shown() -> None:
    settings = load_settings("https://a:9200", user="admin", password=SECRET)
    assert settings.password.get_secret_value() == SECRET
    for text in (
        repr(settings),
        str(settings),
        str(settings.model_dump()),
        repr(connect(settings)),
    ):
        assert SECRET not in text


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"url": f"https://admin:{SECRET}@host:9200"}, id="in the address"),
        pytest.param({"url": f"admin:{SECRET}@host:9200"}, id="in an address without scheme"),
        pytest.param({"url": "https://a", "password": [SECRET]}, id="of the wrong type"),
        pytest.param({"url": "https://a", "passwort": SECRET}, id="under a misspelt name"),
        pytest.param({"url": "b", "password": SECRET}, id="beside another fault"),
    ],
)
def test_no_error_shows_the_password(values) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(**values)
    assert SECRET not in "".join(traceback.format_exception(raised.value, chain=True))


def test_the_client_is_built_without_connecting(tmp_path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("")
    settings = load_settings("https://127.0.0.1:1", timeout_s=7, user="u", password="p")
    (host,) = connect(settings).transport.hosts
    assert (host["host"], host["port"], host["use_ssl"]) == ("127.0.0.1", 1, True)
    assert load_settings("https://a", ca_file=authority).ca_file == authority
