"""Bodies, bundles, names and plans around models in the cluster: everything without a node."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch.capabilities import Capabilities
from opensearch.errors import CapabilityError, SearchBackendError
from opensearch.ml import rest
from opensearch.ml.bundle import CHUNK_BYTES, Bundle, write_bundle
from opensearch.ml.catalogue import ModelInfo, choose_model, memory_by_model, read_model_info
from opensearch.ml.errors import (
    ModelDeadlineError,
    ModelError,
    ModelInUseError,
    ModelNotFoundError,
    ModelTaskFailedError,
    PreflightError,
    VerificationError,
)
from opensearch.ml.faults import cure
from opensearch.ml.groups import GroupNote, note_of, with_note
from opensearch.ml.prediction import dense_body, dense_vectors, sparse_body, sparse_weights
from opensearch.ml.preflight import (
    PREFIX,
    ClusterState,
    obstacles,
    refuse_obstacles,
    require_ml_commons,
    settings_body,
)
from opensearch.ml.query_side import emptying_decoder, query_side_files, with_plain_names
from opensearch.ml.registration import (
    DenseSettings,
    ModelCard,
    dense_config,
    register_body,
    settings_digest,
)
from opensearch.ml.tasks import failure_reason, task_result, wait_for_task
from opensearch.ml.upload import missing_chunks, plan_upload
from opensearch.ml.usage import ClusterUse, Usage, refuse_in_use, usage_of
from opensearch.ml.verification import compare_dense, compare_sparse, require_agreement
from opensearch.workflows.model_packages import short_name

HASH = "ab" * 32
CARD = ModelCard(
    name="mini",
    group="mini",
    function="TEXT_EMBEDDING",
    format="ONNX",
    fingerprint="f" * 32,
    source="all-MiniLM-L6-v2",
    settings={"model_type": "x", "embedding_dimension": 4},
)
BUNDLE = Bundle(Path("bundle.zip"), 2 * CHUNK_BYTES + 1, HASH)


def model(**changes: Any) -> ModelInfo:
    values: dict[str, Any] = {
        "id": "id-1",
        "name": "mini",
        "version": "1",
        "group_id": "g",
        "group": "mini",
        "state": "DEPLOYED",
        "function": "TEXT_EMBEDDING",
        "format": "ONNX",
        "content_hash": HASH,
        "notes": CARD.notes,
    }
    return ModelInfo(**{**values, **changes})


def test_a_bundle_has_the_same_bytes_wherever_it_is_made(tmp_path: Path) -> None:
    made = []
    for number, order in enumerate((("a.onnx", "b.json"), ("b.json", "a.onnx"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in order:
            (folder / name).write_text(name * 1000)
        made.append(write_bundle([folder / name for name in order], folder / "x.zip"))
    assert made[0].sha256 == made[1].sha256
    with zipfile.ZipFile(made[0].path) as archive:
        assert archive.namelist() == ["a.onnx", "b.json"]
        assert archive.read("b.json") == b"b.json" * 1000


@given(st.integers(1, 500), st.integers(1, 60))
def test_chunks_put_together_are_the_bundle(size: int, chunk: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("opensearch.ml.bundle.CHUNK_BYTES", chunk)
        path = Path(folder) / "b"
        path.write_bytes(bytes(number % 251 for number in range(size)))
        bundle = Bundle(path, size, HASH)
        parts = [bundle.read_chunk(number) for number in range(bundle.chunks)]
        assert b"".join(parts) == path.read_bytes()
        assert all(0 < len(part) <= chunk for part in parts)


def test_registration_names_size_hash_chunks_and_settings() -> None:
    body = register_body(CARD, BUNDLE, "group-1")
    assert body["total_chunks"] == 3
    assert body["model_content_hash_value"] == HASH
    assert body["model_config"]["embedding_dimension"] == 4
    notes = json.loads(body["model_config"]["all_config"])["tandem"]
    assert notes["fingerprint"] == "f" * 32
    assert notes["settings"] == settings_digest(CARD.settings)
    # ML Commons registers a sparse model with a configuration, and then cannot deploy it.
    assert "model_config" not in register_body(replace(CARD, settings={}), BUNDLE, "group-1")


def test_prompts_make_a_model_asymmetric() -> None:
    plain = DenseSettings(4, "x", "CLS", normalize_result=False)
    assert "query_prefix" not in dense_config(plain)
    both = dense_config(replace(plain, query_prompt="q: ", space_type="innerproduct"))
    assert (both["query_prefix"], both["passage_prefix"]) == ("q: ", "")
    assert both["additional_config"] == {"space_type": "innerproduct"}


def test_the_best_of_what_is_there_is_kept() -> None:
    half = model(id="half", state="REGISTERING")
    whole = model(id="whole", state="REGISTERED")
    broken = model(id="broken", state="REGISTER_FAILED")
    plan = plan_upload([half, whole, broken], CARD, BUNDLE)
    assert plan.keep == whole
    assert {found.id for found in plan.discard} == {"half", "broken"}
    assert plan_upload([half, whole, model()], CARD, BUNDLE).keep.id == "id-1"
    assert plan_upload([half], CARD, BUNDLE).keep == half
    assert plan_upload([broken], CARD, BUNDLE).keep is None


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"content_hash": "cd" * 32}, True),  # the same encoder, exported elsewhere
        ({"content_hash": "cd" * 32, "state": "REGISTERING"}, False),
        ({"content_hash": "cd" * 32, "notes": {**CARD.notes, "fingerprint": "0"}}, False),
        ({"notes": {**CARD.notes, "settings": "other"}}, False),
        ({"name": "other"}, False),
        ({"function": "SPARSE_ENCODING"}, False),
        ({"format": "TORCH_SCRIPT"}, False),
    ],
)
def test_what_counts_as_the_same_model(changes: dict[str, Any], same: bool) -> None:
    assert (plan_upload([model(**changes)], CARD, BUNDLE).keep is not None) is same


def test_the_last_chunk_comes_last_and_again_where_it_had_no_effect() -> None:
    assert missing_chunks(4, {0, 1}, incomplete=True) == [2, 3]
    assert missing_chunks(4, {0, 1, 2, 3}, incomplete=True) == [3]
    assert missing_chunks(4, {0, 1, 2, 3}, incomplete=False) == []
    assert missing_chunks(4, {0, 3}, incomplete=False) == [1, 2]


def test_models_by_id_label_and_name() -> None:
    old, new = model(), model(id="id-2", version="10", state="REGISTERED")
    newer = model(id="id-3", version="9", state="REGISTERED", name="other")
    found = [old, new, newer]
    assert choose_model(found, "id-2") is new
    assert choose_model(found, "mini@10") is new
    assert choose_model(found, "mini") is old  # it answers, the newer one does not
    assert choose_model([replace(old, state="UNDEPLOYED"), new], "mini") is new
    with pytest.raises(ModelNotFoundError, match=r"mini@1 .*mini@10"):
        choose_model(found, "mini", only=True)
    with pytest.raises(ModelNotFoundError, match="mini@1, mini@10, other@9"):
        choose_model(found, "nothing")


def test_reading_a_model_that_others_registered() -> None:
    source = {"name": "x", "model_version": "2", "algorithm": "REMOTE", "model_config": None}
    found = read_model_info("i", source)
    assert (found.label, found.fingerprint, found.workers) == ("x@2", None, 0)
    strange = read_model_info("i", {"model_config": {"all_config": "not json"}})
    assert strange.notes == {}


def test_memory_is_that_of_the_fullest_node() -> None:
    profile = {
        "nodes": {
            "a": {"models": {"m": {"memory_size_estimation_cpu": 5}, "n": {}}},
            "b": {"models": {"m": {"memory_size_estimation_cpu": 7}}},
            "c": {},
        }
    }
    assert memory_by_model(profile) == {"m": 7}


def test_notes_in_a_group_survive_others() -> None:
    first = GroupNote(HASH, "12ab", "models/한국 (v1)")
    text = with_note("Made by Tandem.", first)
    assert note_of(text, HASH).source == "models/- -v1-"
    second = with_note(text, GroupNote("cd" * 32, "34cd", "b"))
    assert note_of(second, HASH).fingerprint == "12ab"
    assert note_of(second, "cd" * 32).fingerprint == "34cd"
    assert with_note(second, first).count("12ab") == 1
    assert note_of("a group of other people (see below)", HASH) is None
    for number in range(40):
        second = with_note(second, GroupNote(f"{number:064x}"[::-1], "0", "x"))
    assert len(second) < 2000
    allowed = set(""" .,!?():@-_'/"\n""")
    assert all(letter.isascii() and (letter.isalnum() or letter in allowed) for letter in second)


def test_answers_of_local_and_remote_models() -> None:
    local = {"inference_results": [{"output": [{"data": [1, 2]}]}, {"output": [{"data": [3, 4]}]}]}
    remote = {"inference_results": [{"output": [{"data": [1, 2]}, {"data": [3, 4]}]}]}
    assert list(dense_vectors(local)) == list(dense_vectors(remote)) == [[1.0, 2.0], [3.0, 4.0]]
    sparse = {"inference_results": [{"output": [{"dataAsMap": {"response": [{"a": 1}, {}]}}]}]}
    assert list(sparse_weights(sparse)) == [{"a": 1.0}, {}]
    assert list(sparse_weights({})) == []


def test_prediction_bodies() -> None:
    assert "parameters" not in dense_body(["a"])
    assert dense_body(["a"], "query")["parameters"] == {"content_type": "QUERY"}
    parameters = sparse_body(["a"], token_ids=True)["parameters"]
    assert parameters == {"sparse_embedding_format": "TOKEN_ID"}


def test_a_failed_task_says_why_and_what_helps() -> None:
    error = json.dumps({"n1": "Failed: Cannot download jni files: https://publish.djl.ai/x"})
    task = {"state": "FAILED", "task_type": "DEPLOY_MODEL", "error": error}
    with pytest.raises(ModelTaskFailedError, match=r"native libraries.*docs/models.md") as caught:
        task_result("t1", task, 1.0)
    assert caught.value.task == "t1"
    assert "publish.djl.ai" in caught.value.reason
    done = {"state": "COMPLETED", "task_type": "DEPLOY_MODEL", "worker_node": ["n"]}
    assert task_result("t", done, 1.0).workers == ("n",)
    with pytest.raises(ModelTaskFailedError, match="COMPLETED_WITH_ERROR: half"):
        task_result("t", {"state": "COMPLETED_WITH_ERROR", "error": '{"a": "half"}'}, 1.0)


def test_reasons_in_every_form() -> None:
    assert failure_reason('{"a": "x", "b": "x"}') == "x"
    assert failure_reason("plain") == "plain"
    assert failure_reason("[1]") == "[1]"
    assert "log" in failure_reason(None)
    assert cure("something new") is None
    assert "heap" in cure("Memory Circuit Breaker is open, please check your resources!")
    assert "native_memory_threshold" in cure("Native Memory Circuit Breaker is open")


def settings(**values: Any) -> dict[str, Any]:
    return {PREFIX + name: value for name, value in values.items()}


def test_settings_that_stand_in_the_way() -> None:
    state = ClusterState(
        settings=settings(
            only_run_on_ml_node="true", native_memory_threshold="90", max_model_on_node="10"
        ),
        roles=[["data", "ingest"]],
        memory_percent=97,
        local_models=10,
    )
    found = obstacles(state, 1)
    assert settings_body(found)["persistent"] == settings(
        only_run_on_ml_node=False, native_memory_threshold=100, max_model_on_node=11
    )
    with pytest.raises(PreflightError, match="PUT /_cluster/settings") as caught:
        refuse_obstacles(found)
    assert "--apply-settings" in str(caught.value)
    fine = replace(state, roles=[["ml"], ["data"]], memory_percent=40, local_models=3)
    assert obstacles(fine, 1) == []
    refuse_obstacles([])


def test_what_may_not_be_asked_does_not_stand_in_the_way() -> None:
    assert obstacles(ClusterState(), 5) == []
    assert obstacles(ClusterState(settings=settings(only_run_on_ml_node="true")), 1) == []


def test_a_cluster_without_ml_commons_is_refused() -> None:
    with pytest.raises(CapabilityError, match="opensearch-ml"):
        require_ml_commons(Capabilities(plugins=frozenset({"opensearch-knn"})))
    require_ml_commons(Capabilities(plugins=None))


USE = ClusterUse(
    ingest={"in": {"processors": [{"text_embedding": {"model_id": "id-1"}}]}, "other": {}},
    search={"out": {"request_processors": [{"x": {"default": {"f": "id-1"}}}]}},
    mappings={
        "semantic": {"mappings": {"properties": {"t": {"model_id": "id-1"}}}},
        "built": {
            "mappings": {"_meta": {"tandem": {"encoders": {"dense": {"fingerprint": "f" * 32}}}}}
        },
    },
    settings={
        "fed": {"settings": {"index.default_pipeline": "in"}},
        "asked": {"settings": {"index.search.default_pipeline": "out"}},
        "free": {"settings": {"index.default_pipeline": "other"}},
    },
)


def test_everything_that_uses_a_model_is_found() -> None:
    usage = usage_of(model(), USE)
    assert usage.ingest_pipelines == ("in",)
    assert usage.search_pipelines == ("out",)
    assert usage.indices == ("asked", "fed", "semantic")
    assert usage.same_encoder == ("built",)
    with pytest.raises(ModelInUseError, match=r"in; search pipeline out; index asked, fed"):
        refuse_in_use(model(), usage, "They would fail.")
    unused = usage_of(model(id="id-9"), USE)
    assert not unused.in_use
    refuse_in_use(model(), Usage(same_encoder=("built",)), "")


def test_vectors_must_agree_in_direction_and_length() -> None:
    expected = np.eye(2, dtype=np.float32)
    same = compare_dense(["a", "b"], expected, expected.tolist())
    assert same.passed
    turned = compare_dense(["a", "b"], expected, [[1, 0], [0.1, 0.99]])
    assert not turned.passed
    assert turned.worst == "b"
    assert not compare_dense(["a", "b"], expected, [[2, 0], [0, 1]]).passed
    assert not compare_dense(["a", "b"], expected, [[0, 0], [0, 1]]).passed
    assert not compare_dense(["a", "b"], expected, [[float("nan"), 0], [0, 1]]).passed
    with pytest.raises(VerificationError, match="shape"):
        compare_dense(["a", "b"], expected, [[1, 0, 0], [0, 1, 0]])
    with pytest.raises(VerificationError, match=r"at least 0.999.*undeployed"):
        require_agreement(turned, "mini@1")


def test_token_weights_must_agree() -> None:
    expected = [{"a": 1.0, "b": 0.5}, {}]
    assert compare_sparse(expected, [{"b": 0.5004, "a": 1.0}, {"tiny": 0.0005}]).passed
    missing = compare_sparse(expected, [{"a": 1.0}, {}])
    assert (missing.passed, missing.worst) == (False, "b")
    assert not compare_sparse(expected, [expected[0], {"[CLS]": 1.0}]).passed
    with pytest.raises(VerificationError, match="'b'"):
        require_agreement(missing, "sp@1")


def tokenizer() -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {"[UNK]": 0, "[CLS]": 1, "the": 2, "a.b": 3, "fee": 4, "##s": 5}
    made = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(["[CLS]"])
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", 1)]
    )
    return str(made.to_str())


def test_the_query_side_names_tokens_with_weight_and_no_others() -> None:
    from tokenizers import Tokenizer

    files = query_side_files(tokenizer(), {"fee": 2.0, "##s": 0.5})
    assert json.loads(files["idf.json"]) == {"fee": 2.0, "##s": 0.5}
    made = Tokenizer.from_str(files["tokenizer.json"])
    encoding = made.encode("the fees a.b axb")
    assert encoding.tokens == ["the", "fee", "##s", "a.b", "[UNK]"]
    named = [made.decode([number], skip_special_tokens=True) for number in encoding.ids]
    assert named == ["", "fee", "##s", "", ""]


def test_tokens_are_named_as_in_the_vocabulary() -> None:
    from tokenizers import Tokenizer, decoders, models

    made = Tokenizer(models.BPE({"Ġfee": 0}, []))
    made.decoder = decoders.ByteLevel()
    assert made.decode([0]) == " fee"
    assert Tokenizer.from_str(with_plain_names(str(made.to_str()))).decode([0]) == "Ġfee"
    assert emptying_decoder([]) is None


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("all-MiniLM-L6-v2", "all-minilm-l6-v2"),
        ("org/Model_1.5", "model_1.5"),
        ("/a/b/은행 모델/", "model"),
        ("/a/내 model", "model"),
    ],
)
def test_names_that_ml_commons_takes(source: str, name: str) -> None:
    assert short_name(source) == name


class _Transport:
    """Answers from a list; an exception in it is raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def perform_request(self, *_: Any, **__: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class _Client:
    def __init__(self, *answers: Any) -> None:
        self.transport = _Transport(*answers)


def _refusal(status: int, text: str) -> Exception:
    from opensearchpy.exceptions import TransportError

    return TransportError(status, "x", {"error": {"reason": text}})


def test_a_busy_cluster_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest.time, "sleep", lambda _: None)
    busy = _refusal(429, "[parent] Data too large")
    client = _Client(busy, busy, {"status": "Uploaded"})
    assert rest.send(client, rest.Request("POST", "/x"), "uploading")["status"] == "Uploaded"
    monkeypatch.setattr(rest, "PATIENCE_S", 0.0)
    with pytest.raises(SearchBackendError, match="Data too large"):
        rest.send(_Client(busy), rest.Request("POST", "/x"), "uploading")


def test_a_known_fault_comes_with_its_cure() -> None:
    client = _Client(_refusal(400, "Exceed max local model per node limit"))
    with pytest.raises(ModelError, match="max_model_on_node"):
        rest.send(client, rest.Request("POST", "/x"), "deploying")


def test_a_task_is_waited_for_until_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opensearch.ml.tasks.time.sleep", lambda _: None)
    running, done = {"state": "RUNNING"}, {"state": "COMPLETED", "model_id": "m"}
    assert wait_for_task(_Client(running, done), "t", deadline_s=5).model_id == "m"
    with pytest.raises(ModelDeadlineError, match="--timeout"):
        wait_for_task(_Client(running), "t", deadline_s=0)
