import json
import re
import ssl
from dataclasses import replace
from pathlib import Path

import bcrypt
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from opensearch.cli.engine_progress import PlainProgress
from opensearch.errors import EngineError
from opensearch.local.config import NodeFolders, NodePlan, node_settings
from opensearch.local.engine import EngineOptions, start_engine
from opensearch.local.layout import Layout
from opensearch.local.process import ProcessId
from opensearch.local.security import (
    Security,
    hash_password,
    new_password,
    secure_engine,
    security_contents,
    security_settings,
)
from opensearch.local.state import EngineState, Login, NodeState, read_state, write_state
from opensearch.local.tls import NODE_DN, issue_certificates

PLAN = NodePlan("c", "node-1", 9200, 9300, NodeFolders(Path("/n")))


def test_each_mode_has_its_settings_and_address() -> None:
    assert security_settings(Security.ABSENT) == {}
    assert security_settings(Security.OFF) == {"plugins.security.disabled": True}
    secured = replace(PLAN, security=Security.ON)
    settings = node_settings(secured)
    assert settings["plugins.security.ssl.http.enabled"] is True
    assert settings["plugins.security.nodes_dn"] == [NODE_DN]
    assert (PLAN.url, secured.url) == ("http://127.0.0.1:9200", "https://127.0.0.1:9200")
    assert not [key for key in node_settings(PLAN) if "security" in key]


def test_the_first_contents_are_one_administrator() -> None:
    contents = security_contents("$2b$x")
    assert {value["_meta"]["type"] for value in contents.values()} == {
        "config",
        "internalusers",
        "roles",
        "rolesmapping",
        "actiongroups",
        "tenants",
    }
    users = {name for name in contents["internal_users"] if name != "_meta"}
    assert users == {"admin"}
    assert contents["internal_users"]["admin"]["hash"] == "$2b$x"
    assert contents["roles_mapping"]["all_access"] == {"backend_roles": ["admin"]}


def test_the_node_is_vouched_for_at_both_names() -> None:
    issued = issue_certificates()
    node = x509.load_pem_x509_certificate(issued.node.encode())
    authority = x509.load_pem_x509_certificate(issued.authority.encode())
    node.verify_directly_issued_by(authority)
    names = node.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    purposes = node.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert node.subject.rfc4514_string() == NODE_DN
    ssl.create_default_context(cadata=issued.authority)
    assert "BEGIN PRIVATE KEY" in issued.node_key


def test_the_password_stays_and_the_certificates_change(tmp_path: Path) -> None:
    first, files = secure_engine(tmp_path)
    second, others = secure_engine(tmp_path)
    assert first.password == second.password
    assert files["authority.pem"] != others["authority.pem"]
    assert first.ca_file.read_text() == others["authority.pem"]
    assert first.password_file.stat().st_mode & 0o777 == 0o600
    users = json.loads(files["opensearch-security/internal_users.yml"])
    assert bcrypt.checkpw(first.password.encode(), users["admin"]["hash"].encode())
    assert first.password not in "".join(files.values())


def test_passwords_differ_and_have_every_kind() -> None:
    one, two = new_password(), new_password()
    assert one != two
    assert all(re.search(kind, one) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[-_.]"))
    assert hash_password("x").startswith("$2b$12$")


def test_a_version_without_the_plugin_cannot_be_secured(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"choose --version 2\.19\.1"):
        start_engine(EngineOptions(secure=True, state_root=tmp_path))


def test_a_login_is_recorded_without_the_password(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    login = Login("admin", tmp_path / "password", tmp_path / "ca.pem")
    node = NodeState("n", "https://127.0.0.1:1", ProcessId(1, 1), tmp_path, tmp_path)
    state = EngineState("x", "2.19.1", (node,), tmp_path, knn_natives=False, login=login)
    write_state(tmp_path / "x.json", state)
    assert read_state(tmp_path / "x.json") == state
    assert login.password == "s3cret"
    assert "s3cret" not in (tmp_path / "x.json").read_text() + repr(state)


def test_secured_data_is_told_apart() -> None:
    assert str(Layout("2.19.1", 1, secure=True)).startswith("secured OpenSearch 2.19.1")


def test_plain_progress_says_each_tenth_once(capsys: pytest.CaptureFixture[str]) -> None:
    progress = PlainProgress()
    progress.stage("Fetching")
    progress.downloads(3, 100_000_000)
    for _ in range(100):
        progress.received(1_000_000)
    progress.received(-5_000_000)
    progress.received(5_000_000)
    progress.file_done("a")
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["Fetching", "  3 files, about 100 MB"]
    assert lines[2:] == [f"  {tenth}0 of 100 MB" for tenth in range(1, 11)]
