"""Asking an LLM: the client, prompts, HyDE, instructions."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from encoder_models import model_folder
from fake_llm import FakeLlm, fake_llm

from encoders.base import DenseEncoder
from encoders.errors import EncoderError, EncoderServiceError
from encoders.llm.chat import KEY_VARIABLE, ChatClient
from encoders.llm.hyde import HydeEncoder
from encoders.llm.instructed import InstructedEncoder, fixed_instruction, written_instruction
from encoders.llm.prompts import read_prompt
from encoders.options import LoadOptions
from encoders.registry import load_dense
from encoders.service_client import RetryPolicy

FAST = RetryPolicy(attempts=3, first_wait=0.001, max_wait=0.01, timeout=0.3)


@pytest.fixture
def llm() -> Iterator[FakeLlm]:
    with fake_llm(FakeLlm()) as running:
        yield running


def chat(llm: FakeLlm) -> ChatClient:
    return ChatClient.at(f"tiny:1b@{llm.url}", policy=FAST)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> DenseEncoder:
    folder = model_folder("bert-mean", tmp_path_factory.mktemp("models"))
    return load_dense(str(folder), LoadOptions(runtime="torch"))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> DenseEncoder:
    folder = model_folder("qwen3-lasttoken", tmp_path_factory.mktemp("models"))
    prompt = "Instruct: Given a web search query, retrieve passages\nQuery:"
    return load_dense(str(folder), LoadOptions(runtime="torch", query_prompt=prompt))


def test_an_answer_and_its_cost(llm: FakeLlm) -> None:
    completion = chat(llm).complete("why?", system="be brief")
    assert completion.text == "answer to: why?"
    assert (completion.prompt_tokens, completion.completion_tokens) == (1, 7)
    (body,) = llm.bodies
    assert body["model"] == "tiny:1b"
    assert [m["role"] for m in body["messages"]] == ["system", "user"]
    assert body["temperature"] == 0.0


def test_the_key_comes_from_the_environment(llm: FakeLlm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "sk-hidden")
    client = chat(llm)
    client.complete("x")
    assert llm.headers[0]["authorization"] == "Bearer sk-hidden"
    assert "sk-hidden" not in repr(client)


@pytest.mark.parametrize("fault", [429, 503, "drop", "hang"])
def test_passing_trouble_is_waited_out(llm: FakeLlm, fault: object) -> None:
    llm.faults = [fault]
    assert chat(llm).complete("x").text == "answer to: x"
    assert len(llm.bodies) == 2


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ([401], "refused the call: HTTP 401"),
        ([500] * 3, "failed 3 times"),
        (["not json"], "did not answer with JSON"),
        (['{"choices": []}'], "not answer in the form"),
        (["[1]"], "not answer in the form"),
    ],
)
def test_lasting_trouble_is_an_error(llm: FakeLlm, faults: list, message: str) -> None:
    llm.faults = faults
    with pytest.raises(EncoderServiceError, match=message):
        chat(llm).complete("x")


@pytest.mark.parametrize(
    "address", ["", "qwen", "http://127.0.0.1:1", "@http://127.0.0.1:1", "m@http://", "m@ftp://x"]
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(EncoderError, match="MODEL@URL"):
        ChatClient.at(address)


def test_no_secret_in_an_address() -> None:
    with pytest.raises(EncoderError, match=KEY_VARIABLE):
        ChatClient.at("m@http://user:secret@127.0.0.1:1")


def test_addresses_may_end_in_v1() -> None:
    assert ChatClient.at("a@b@https://host/v1/").client.url == "https://host"
    assert ChatClient.at("a@b@https://host/v1/").model == "a@b"


def test_prompts_take_their_fields_and_leave_braces_alone(tmp_path: Path) -> None:
    assert "{odd}" in read_prompt("hyde", {"query": "what is {odd}?"})
    own = tmp_path / "own.txt"
    own.write_text("{{json}} for {query}\n", encoding="utf-8")
    assert read_prompt("hyde", {"query": "q"}, own) == "{json} for q"


@pytest.mark.parametrize(
    ("text", "message"), [("{question}", r"field \{question\}"), ("a } b", "odd brace")]
)
def test_prompts_that_cannot_be_filled(tmp_path: Path, text: str, message: str) -> None:
    own = tmp_path / "own.txt"
    own.write_text(text, encoding="utf-8")
    with pytest.raises(EncoderError, match=message):
        read_prompt("hyde", {"query": "q"}, own)


def test_a_missing_prompt_file(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="cannot be read"):
        read_prompt("hyde", {}, tmp_path / "none.txt")


def test_hyde_is_the_mean_of_query_and_passages(llm: FakeLlm, bert: DenseEncoder) -> None:
    llm.write = lambda _: "the account costs a fee"
    hyde = HydeEncoder(bert, chat(llm), passages=2)
    (found,) = hyde.encode_queries(["the fee"])
    parts = np.vstack(
        [bert.encode_queries(["the fee"]), bert.encode_documents(["the account costs a fee"] * 2)]
    )
    expected = parts.mean(0) / np.linalg.norm(parts.mean(0))
    assert found == pytest.approx(expected, abs=1e-6)
    assert "Question: the fee" in llm.prompts[0]
    assert hyde.identity == bert.identity
    assert isinstance(hyde, DenseEncoder)


def test_hyde_asks_once_for_the_same_query(llm: FakeLlm, bert: DenseEncoder) -> None:
    hyde = HydeEncoder(bert, chat(llm))
    hyde.encode_queries(["fee", "fee"])
    hyde.encode_queries(["fee"])
    assert len(llm.prompts) == 1


def test_hyde_leaves_documents_alone(llm: FakeLlm, bert: DenseEncoder) -> None:
    hyde = HydeEncoder(bert, chat(llm))
    assert np.array_equal(hyde.encode_documents(["fee"]), bert.encode_documents(["fee"]))
    assert not llm.bodies


def test_an_empty_answer_leaves_the_query_as_it_is(llm: FakeLlm, bert: DenseEncoder) -> None:
    llm.write = lambda _: "  "
    found = HydeEncoder(bert, chat(llm)).encode_queries(["fee"])
    assert found == pytest.approx(bert.encode_queries(["fee"]))


def test_an_instruction_changes_queries_only(qwen: DenseEncoder) -> None:
    told = InstructedEncoder(qwen, fixed_instruction("Find  fees"))
    plain = qwen.encode_queries(["fee"])
    assert np.abs(told.encode_queries(["fee"]) - plain).max() > 1e-4
    assert np.array_equal(told.encode_documents(["fee"]), qwen.encode_documents(["fee"]))
    assert told.identity == qwen.identity


def test_the_prompt_of_the_model_is_one_instruction_among_others(qwen: DenseEncoder) -> None:
    same = fixed_instruction("Given a web search query, retrieve passages")
    told = InstructedEncoder(qwen, same)
    assert told.encode_queries(["fee"]) == pytest.approx(qwen.encode_queries(["fee"]))


def test_an_llm_writes_the_instruction_once_per_query(llm: FakeLlm, qwen: DenseEncoder) -> None:
    llm.write = lambda _: "Given a question\nabout fees"
    instruct = written_instruction(chat(llm))
    told = InstructedEncoder(qwen, instruct)
    written = told.encode_queries(["fee", "fee"])
    fixed = InstructedEncoder(qwen, fixed_instruction("Given a question about fees"))
    assert written == pytest.approx(fixed.encode_queries(["fee", "fee"]))
    assert len(llm.prompts) == 1


def test_a_model_without_instructions_is_refused(bert: DenseEncoder) -> None:
    with pytest.raises(EncoderError, match="takes no instruction"):
        InstructedEncoder(bert, fixed_instruction("x"))
