"""Connections to model servers: bodies, addresses, trust; nothing is sent."""

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from opensearch_samples import RecordingClient
from opensearchpy.exceptions import AuthorizationException
from pydantic import SecretStr

from opensearch.capabilities import Capabilities
from opensearch.cli.root import main
from opensearch.errors import CapabilityError, SettingsError
from opensearch.ml.connectors.bodies import connector_body, credential, model_body
from opensearch.ml.connectors.checking import least_cosine, weight_gap
from opensearch.ml.connectors.registration import check_version
from opensearch.ml.connectors.spec import Connection, default_name
from opensearch.ml.connectors.trust import (
    ENDPOINTS,
    PRIVATE,
    AdministratorNeededError,
    Trust,
    apply_settings,
    endpoint_regex,
    is_private,
    missing_settings,
    read_trust,
    trust_from,
)
from opensearch.ml.connectors.wire import endpoint, wire_format
from opensearch.workflows.connect_model import planned

SECRET = "do-not-show-this"
DENSE = Connection("http://10.0.0.7:8080", "dense", "tandem", "minilm", dimension=384)


def action(connection: Connection) -> dict[str, Any]:
    found: dict[str, Any] = connector_body(connection)["actions"][0]
    return found


def test_a_dense_server_is_told_the_side_of_a_text() -> None:
    found = action(DENSE)
    assert found["url"] == "http://10.0.0.7:8080/dense"
    assert "${parameters.texts}" in found["request_body"]
    assert "${parameters.content_type}" in found["request_body"]
    assert "pre_process_function" not in found
    config = model_body(DENSE, "c1", "g1")["model_config"]
    assert config["additional_config"] == {"is_asymmetric": True, "space_type": "innerproduct"}
    assert config["embedding_dimension"] == 384
    notes = json.loads(config["all_config"])["tandem"]
    assert notes["url"] == "http://10.0.0.7:8080"
    assert notes["side"] == "both"


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize(("side", "content"), [("query", "query"), ("document", "passage")])
def test_a_connection_for_one_side_says_it_itself(kind: Any, side: Any, content: str) -> None:
    one = replace(DENSE, kind=kind, side=side)
    body = connector_body(one)
    assert body["parameters"]["content_type"] == content
    assert "${parameters.input}" in body["actions"][0]["request_body"]
    assert not model_body(one, "c", "g")["model_config"]["additional_config"]["is_asymmetric"]


def test_sparse_answers_need_no_function() -> None:
    found = connector_body(replace(DENSE, kind="sparse"))
    assert "post_process_function" not in found["actions"][0]
    assert found["parameters"] == {"sparse_embedding_format": "WORD"}


@pytest.mark.parametrize(
    ("flavour", "kind", "path"),
    [
        ("openai", "dense", "/v1/embeddings"),
        ("vllm", "dense", "/v1/embeddings"),
        ("vllm", "rerank", "/v1/rerank"),
        ("tei", "dense", "/embed"),
        ("tei", "rerank", "/rerank"),
        ("tandem", "rerank", "/rerank"),
        ("tandem", "sparse", "/sparse"),
    ],
)
def test_every_flavour_has_its_path(flavour: Any, kind: Any, path: str) -> None:
    connection = replace(DENSE, flavour=flavour, kind=kind, model="m")
    assert action(connection)["url"].endswith(path)


@pytest.mark.parametrize(
    ("flavour", "kind"), [("openai", "sparse"), ("vllm", "sparse"), ("tei", "sparse")]
)
def test_what_a_flavour_cannot_is_refused_with_one_that_can(flavour: Any, kind: Any) -> None:
    with pytest.raises(SettingsError, match="served by: tandem"):
        wire_format(replace(DENSE, flavour=flavour, kind=kind))


def test_servers_of_several_models_must_be_told_which() -> None:
    with pytest.raises(SettingsError, match="--model"):
        wire_format(replace(DENSE, flavour="openai"))


def test_the_key_is_a_credential_and_nothing_else() -> None:
    secret = replace(DENSE, key=SecretStr(SECRET))
    assert action(secret)["headers"]["Authorization"] == "Bearer ${credential.key}"
    assert "Authorization" not in action(DENSE)["headers"]
    assert credential(secret) == {"credential": {"key": SECRET}}
    shown = [repr(secret), connector_body(secret), model_body(secret, "c", "g"), planned(secret)]
    assert SECRET not in repr(shown)


@pytest.mark.parametrize(
    ("url", "path", "expected"),
    [
        ("https://api.openai.com", "/v1/embeddings", "https://api.openai.com/v1/embeddings"),
        ("https://api.openai.com/v1", "/v1/embeddings", "https://api.openai.com/v1/embeddings"),
        ("http://h:1/prefix/", "/dense", "http://h:1/prefix/dense"),
        ("http://h:1/v1", "/rerank", "http://h:1/v1/rerank"),
    ],
)
def test_addresses_are_joined(url: str, path: str, expected: str) -> None:
    assert endpoint(url, path) == expected


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h",
        "http://",
        "localhost:8080",
        "http://u:p@h",
        "http://h?key=x",
        "http://h#x",
        "http://h:99999999",
    ],
)
def test_addresses_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        replace(DENSE, url=url)


@pytest.mark.parametrize("name", ["", "with space", 'quo"te', "${credential.key}", "x" * 200])
def test_names_cannot_break_out_of_a_template(name: str) -> None:
    with pytest.raises(SettingsError):
        replace(DENSE, name=name)
    if name:
        with pytest.raises(SettingsError):
            replace(DENSE, model=name)


def test_default_names_say_what_and_where() -> None:
    assert default_name("http://gpu1:8080", "sparse") == "sparse-at-gpu1-8080"


@pytest.mark.parametrize("url", ["http://10.0.0.7:8080", "https://a.b", "http://[::1]:9"])
def test_only_this_host_and_port_are_trusted(url: str) -> None:
    expression = re.compile(endpoint_regex(url))
    assert expression.fullmatch(f"{url}/dense")
    for other in (
        f"{url}1/dense",
        f"{url.replace('.', 'x')}x/dense",
        f"http://evil/?{url}/dense",
        f"{url}@evil/dense",
        url.replace("http", "ftp") + "/dense",
    ):
        assert not expression.fullmatch(other)


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://127.0.0.1:1", True),
        ("http://10.1.2.3", True),
        ("http://192.168.0.1", True),
        ("http://[::1]:80", True),
        ("http://localhost:80", True),
        ("http://8.8.8.8", False),
        ("http://no-such-host.invalid", False),
    ],
)
def test_private_addresses_are_known(url: str, private: bool) -> None:
    assert is_private(url) is private


def test_trust_is_added_to_what_is_there() -> None:
    answer = {
        "defaults": {ENDPOINTS: ["^https://api\\.openai\\.com/.*$"], PRIVATE: "false"},
        "persistent": {},
        "transient": {},
    }
    missing = missing_settings(trust_from(answer), "http://10.0.0.7:8080/dense")
    expected = ["^https://api\\.openai\\.com/.*$", "^http://10\\.0\\.0\\.7:8080/.*$"]
    assert missing == {"persistent": {ENDPOINTS: expected, PRIVATE: True}}
    assert missing_settings(trust_from(answer), "https://api.openai.com/v1/embeddings") == {}


def test_a_transient_setting_is_changed_where_it_stands() -> None:
    answer = {"persistent": {ENDPOINTS: ["^a$"]}, "transient": {ENDPOINTS: ["^b$", "(((java"]}}
    trust = trust_from(answer)
    assert trust.endpoints == ("^b$", "(((java")
    missing = missing_settings(replace(trust, private=True), "http://10.0.0.7/x")
    assert missing == {"transient": {ENDPOINTS: ["^b$", "(((java", "^http://10\\.0\\.0\\.7/.*$"]}}


def forbidden(name: str, /, **_: Any) -> Any:
    raise AuthorizationException(403, "security_exception", {"error": {"reason": name}})


def test_who_may_not_change_settings_gets_the_call_for_one_who_may() -> None:
    client = RecordingClient(forbidden)
    assert read_trust(client) is None
    body = missing_settings(Trust(), "http://10.0.0.7:8080/dense")
    with pytest.raises(AdministratorNeededError) as caught:
        apply_settings(client, body)
    _, _, call = str(caught.value).partition("PUT /_cluster/settings\n")
    assert json.loads(call) == body


def test_older_clusters_need_a_connection_per_side() -> None:
    old = Capabilities(version=(2, 19, 1))
    with pytest.raises(CapabilityError, match=r"--side document.*3\.5"):
        check_version(DENSE, old)
    check_version(replace(DENSE, side="query"), old)
    check_version(replace(DENSE, kind="rerank"), old)
    check_version(DENSE, Capabilities())


def test_agreement_of_vectors_and_weights() -> None:
    rows = np.eye(2)
    assert least_cosine(rows, rows * 3) == pytest.approx(1.0)
    assert least_cosine(rows, rows[::-1]) == pytest.approx(0.0)
    assert least_cosine(rows, np.eye(3)) == -1.0
    assert weight_gap({"a": 1.0, "b": 0.2}, {"a": 1.1}) == pytest.approx(0.2)
    assert weight_gap({}, {}) == 0.0


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["models", "connect", *arguments])


def test_dry_run_sends_nothing_and_hides_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", SECRET)
    given = ("http://127.0.0.1:8080", "--kind", "dense", "--dimension", "384")
    shown = run(*given, "--key-env", "MY_KEY", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert SECRET not in shown.output
    bodies = json.loads(shown.output)
    assert bodies["POST /_plugins/_ml/connectors/_create"]["credential"] == {"key": "********"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--kind", "dense", "--key-env", "NOT_SET_ANYWHERE"), "NOT_SET_ANYWHERE"),
        (("--kind", "dense", "--flavour", "openai", "--dry-run"), "--model"),
        (("--kind", "sparse", "--dense", "x"), "the kind is sparse"),
        (("--kind", "magic"), "magic"),
        ((), "--kind"),
    ],
)
def test_misuse_is_explained(arguments: tuple[str, ...], message: str) -> None:
    result = run("http://127.0.0.1:8080", *arguments, "--url", "http://127.0.0.1:1")
    assert result.exit_code == 2, result.output
    assert message in result.output
