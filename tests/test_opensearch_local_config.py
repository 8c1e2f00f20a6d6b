import json
from dataclasses import replace
from pathlib import Path

import pytest

from opensearch.local.config import (
    NodeFolders,
    NodePlan,
    command_line,
    log4j2_properties,
    node_settings,
    opensearch_yml,
    process_environment,
)
from opensearch.local.distribution import distribution
from opensearch.local.java import Java

FOLDERS = NodeFolders(Path("/e/node-1"))
PLAN = NodePlan("tandem-x", "node-1", 9200, 9300, FOLDERS)


def test_only_the_loopback_address_is_bound() -> None:
    settings = node_settings(PLAN)
    assert settings["network.host"] == "127.0.0.1"
    assert not [key for key in settings if key.endswith("_host") or key.endswith("bind_host")]
    assert (settings["http.port"], settings["transport.port"]) == (9200, 9300)


@pytest.mark.parametrize(("present", "told"), [(False, "false"), (True, "true")])
def test_the_node_tells_whether_it_has_faiss(present: bool, told: str) -> None:
    settings = node_settings(replace(PLAN, knn_natives=present))
    assert settings["node.attr.tandem_knn_natives"] == told


def test_a_lone_node_needs_no_discovery() -> None:
    settings = node_settings(PLAN)
    assert settings["discovery.type"] == "single-node"
    assert "discovery.seed_hosts" not in settings


def test_nodes_of_a_cluster_know_each_other() -> None:
    settings = node_settings(replace(PLAN, peers=(("node-1", 9300), ("node-2", 9301))))
    assert settings["discovery.seed_hosts"] == ["127.0.0.1:9300", "127.0.0.1:9301"]
    assert settings["cluster.initial_cluster_manager_nodes"] == ["node-1", "node-2"]
    assert "discovery.type" not in settings


def test_settings_are_written_one_per_line_as_json() -> None:
    text = opensearch_yml({"a.b": 'quote " and #', "c": ["x\\d"], "d": False})
    lines = dict(line.split(": ", 1) for line in text.splitlines())
    assert {key: json.loads(value) for key, value in lines.items()} == {
        "a.b": 'quote " and #',
        "c": ["x\\d"],
        "d": False,
    }


def test_the_log_is_in_its_folder_and_bounded() -> None:
    text = log4j2_properties(Path("/logs"))
    assert "fileName = /logs/server.log\n" in text
    assert "20MB" in text


def test_the_command_line() -> None:
    java = Java(Path("/jvm"), 25)
    new = distribution("3.6.0")
    command = command_line(new, java, Path("/home/3.6.0"), folders=FOLDERS, heap="2g")
    assert command[0] == "/jvm/bin/java"
    assert {"-Xms2g", "-Xmx2g", "--add-modules=jdk.incubator.vector"} <= set(command)
    assert "-Dopensearch.path.conf=/e/node-1/config" in command
    assert command[-3:] == ["-cp", "/home/3.6.0/lib/*", "org.opensearch.bootstrap.OpenSearch"]


@pytest.mark.parametrize(("major", "asked"), [(17, False), (21, True)])
def test_older_versions_ask_for_the_security_manager_where_java_wants_it(
    major: int, asked: bool
) -> None:
    java = Java(Path("/jvm"), major)
    command = command_line(distribution("2.19.1"), java, Path("/h"), folders=FOLDERS, heap="1g")
    assert ("-Djava.security.manager=allow" in command) == asked
    assert "--add-modules=jdk.incubator.vector" not in command


def test_the_process_sees_nothing_of_the_callers_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dsomething")
    new = process_environment(distribution("3.6.0"), FOLDERS)
    assert set(new) == {"PATH", "LANG", "HOME"}
    assert process_environment(distribution("2.19.1"), FOLDERS)["PYTORCH_VERSION"] == "2.5.1"
