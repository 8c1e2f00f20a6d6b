"""What a cluster says it can do, and what is refused because of it."""

import pytest
from opensearch_samples import RecordingClient
from opensearchpy import exceptions as theirs

from opensearch.capabilities import FEATURES, Capabilities, detect
from opensearch.errors import CapabilityError, ClusterUnreachableError

INFO = {"version": {"number": "3.6.0"}}
PLUGINS = [
    {"name": "n1", "component": "opensearch-knn"},
    {"name": "n1", "component": "opensearch-ml"},
    {"name": "n2", "component": "opensearch-knn"},
]
FORBIDDEN = theirs.AuthorizationException(403, "security_exception", {})


def client(info=INFO, plugins=(), attributes=()) -> RecordingClient:
    answers = {"info": info, "cat.plugins": plugins, "cat.nodeattrs": attributes}

    def answer(name, /, **_):
        if isinstance(answers[name], Exception):
            raise answers[name]
        return answers[name]

    return RecordingClient(answer)


@pytest.mark.parametrize(
    ("number", "version"),
    [("3.6.0", (3, 6, 0)), ("2.19.3", (2, 19, 3)), ("3.7.0-SNAPSHOT", (3, 7, 0))],
)
def test_version(number, version) -> None:
    assert detect(client({"version": {"number": number}})).version == version


@pytest.mark.parametrize("answer", [{}, {"version": "1"}, "<html>", {"version": {}}, []], ids=repr)
def test_what_is_not_opensearch_is_told(answer) -> None:
    with pytest.raises(ClusterUnreachableError, match="not OpenSearch"):
        detect(client(answer))


def test_a_plugin_counts_if_every_node_carries_it() -> None:
    found = detect(client(plugins=PLUGINS))
    assert found.plugins == {"opensearch-knn"}
    assert found.has("opensearch-knn")
    assert not found.has("opensearch-ml")
    assert detect(client(plugins=[])).plugins == frozenset()


@pytest.mark.parametrize(
    ("attributes", "natives"),
    [
        pytest.param([], None, id="nothing said"),
        pytest.param([{"attr": "tandem_knn_natives", "value": "false"}], False, id="absent"),
        pytest.param([{"attr": "tandem_knn_natives", "value": "true"}], None, id="not denied"),
        pytest.param([{"attr": "zone", "value": "false"}], None, id="another attribute"),
        pytest.param(
            [
                {"attr": "tandem_knn_natives", "value": "true"},
                {"attr": "tandem_knn_natives", "value": "false"},
            ],
            False,
            id="one node lacks them",
        ),
    ],
)
def test_natives(attributes, natives) -> None:
    assert detect(client(attributes=attributes)).knn_natives is natives


def test_a_refusal_to_tell_is_not_a_no() -> None:
    unknown = detect(client(FORBIDDEN, FORBIDDEN, FORBIDDEN))
    assert unknown == Capabilities(None, None, None)
    assert not unknown.has("opensearch-knn")
    unknown.require_plugin("opensearch-knn", "The dense field")
    unknown.require_version((3, 3), "SEISMIC")


def test_a_dead_cluster_is_an_error() -> None:
    with pytest.raises(ClusterUnreachableError):
        detect(client(theirs.ConnectionError("N/A", "refused", OSError())))


def test_a_missing_plugin_is_refused_by_name() -> None:
    known = Capabilities(plugins=frozenset({"opensearch-knn"}))
    known.require_plugin("opensearch-knn", "The dense field")
    with pytest.raises(
        CapabilityError, match="The sparse field needs the plugin opensearch-neural"
    ):
        known.require_plugin("opensearch-neural-search", "The sparse field")


@pytest.mark.parametrize(
    ("version", "allowed"),
    [((2, 19, 3), False), ((3, 2, 9), False), ((3, 3, 0), True), ((4, 0, 0), True)],
)
def test_an_old_version_is_refused(version, allowed) -> None:
    known = Capabilities(version=version)
    if allowed:
        known.require_version((3, 3), "SEISMIC")
    else:
        with pytest.raises(CapabilityError, match=r"SEISMIC needs OpenSearch 3\.3 or newer"):
            known.require_version((3, 3), "SEISMIC")


def test_a_feature_is_refused_with_the_version_that_has_it() -> None:
    old, new, unknown = Capabilities((2, 19, 1)), Capabilities((3, 6, 0)), Capabilities()
    for name in FEATURES:
        with pytest.raises(CapabilityError, match=r"needs OpenSearch 3\.\d or newer; .* 2\.19\.1"):
            old.require(name)
        new.require(name)
        unknown.require(name)
        assert (old.certainly(name), new.certainly(name)) == (False, True)
        assert not unknown.certainly(name)
