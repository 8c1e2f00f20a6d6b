import json
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from encoders.base import named_weights
from encoders.errors import EncoderError
from encoders.lexical import FIT_BATCH, LexicalEncoder
from encoders.options import LoadOptions
from encoders.pruning import Pruning
from encoders.registry import load_sparse
from encoders.stopwords import ENGLISH_STOP_WORDS

CORPUS = ["the annual fee", "fee, fee and loan!", "loan rate is a rate", "deposit"]


@pytest.fixture(scope="module")
def encoder() -> LexicalEncoder:
    return LexicalEncoder.fit(CORPUS)


def test_statistics(encoder: LexicalEncoder) -> None:
    assert encoder.statistics.documents == 4
    # Content pieces: 2 + 3 + 3 + 1; stop words and punctuation do not count.
    assert encoder.statistics.average_length == 9 / 4
    frequencies = encoder.statistics.document_frequencies
    assert frequencies[_id(encoder, "fee")] == 2
    assert frequencies[_id(encoder, "the")] == 0


def test_query_weight_is_idf_times_count(encoder: LexicalEncoder) -> None:
    [vector] = encoder.encode_queries(["fee fee for a deposit?"])
    weights = named_weights(encoder, vector)
    assert weights == {
        "fee": pytest.approx(2 * math.log(1 + (4 - 2 + 0.5) / (2 + 0.5)), rel=1e-6),
        "deposit": pytest.approx(math.log(1 + (4 - 1 + 0.5) / (1 + 0.5)), rel=1e-6),
    }


def test_document_weight_is_bm25s_saturation(encoder: LexicalEncoder) -> None:
    [vector] = encoder.encode_documents(["fee, fee and loan!"])
    norm = 1.2 * (1 - 0.75 + 0.75 * 3 / (9 / 4))
    assert named_weights(encoder, vector) == {
        "fee": pytest.approx(2 * 2.2 / (2 + norm), rel=1e-6),
        "loan": pytest.approx(1 * 2.2 / (1 + norm), rel=1e-6),
    }


def test_query_weights_are_capped(encoder: LexicalEncoder) -> None:
    [vector] = encoder.encode_queries(["fee " * 5000])
    assert vector.weights.tolist() == [64.0]


def test_what_bears_no_content_has_no_weight(encoder: LexicalEncoder) -> None:
    texts = [" ".join(sorted(ENGLISH_STOP_WORDS)), "The AND Of", "... , | $ %", "[SEP] [CLS]", ""]
    assert len(ENGLISH_STOP_WORDS) == 33
    for vector in encoder.encode_documents(texts) + encoder.encode_queries(texts):
        names = set(encoder.tokens(vector.ids.tolist()))
        assert names <= {"sep", "cl", "##s"}


def test_fit_streams_and_batches_do_not_matter() -> None:
    def stream() -> Iterator[str]:
        for number in range(FIT_BATCH + 7):
            yield CORPUS[number % 4]

    encoder = LexicalEncoder.fit(stream())
    assert encoder.statistics.documents == FIT_BATCH + 7
    counts = encoder.statistics.document_frequencies[_id(encoder, "deposit")]
    assert counts == sum(number % 4 == 3 for number in range(FIT_BATCH + 7))


def test_state_survives_json(encoder: LexicalEncoder) -> None:
    again = LexicalEncoder.from_state(json.loads(json.dumps(encoder.state())))
    assert again.identity == encoder.identity
    [first], [second] = (each.encode_queries(["annual fee"]) for each in (encoder, again))
    np.testing.assert_array_equal(first.weights, second.weights)


def test_state_of_a_large_corpus_is_small() -> None:
    encoder = LexicalEncoder.fit(f"word{number} fee loan account" for number in range(3000))
    assert len(json.dumps(encoder.state())) < 100_000


def test_fingerprint_covers_statistics_and_pruning(encoder: LexicalEncoder) -> None:
    others = [
        LexicalEncoder.fit([*CORPUS, "fee"]),
        LexicalEncoder.fit(CORPUS, pruning=Pruning(top_k=5)),
    ]
    prints = {each.identity.fingerprint for each in [encoder, *others]}
    assert len(prints) == 3
    assert LexicalEncoder.fit(CORPUS).identity == encoder.identity


def test_load_by_name_needs_statistics(encoder: LexicalEncoder) -> None:
    with pytest.raises(EncoderError, match="needs the statistics of a corpus"):
        load_sparse("lexical")
    loaded = load_sparse("lexical", LoadOptions(statistics=encoder.state(), top_k=1))
    assert loaded.identity.model == "lexical"
    assert len(loaded.encode_documents(["annual fee"])[0]) == 1


@pytest.mark.parametrize(
    "damage",
    [
        {"document_frequencies": "AAAA"},
        {"version": 99},
        {"tokenizer": None},
        {"documents": "many"},
    ],
)
def test_a_damaged_state_is_an_error(encoder: LexicalEncoder, damage: dict[str, object]) -> None:
    with pytest.raises(EncoderError):
        LexicalEncoder.from_state({**encoder.state(), **damage})


def test_another_tokenizer_is_an_error(encoder: LexicalEncoder) -> None:
    state = {**encoder.state(), "tokenizer_digest": "0"}
    with pytest.raises(EncoderError, match="is not the one"):
        LexicalEncoder.from_state(state)


def test_an_empty_corpus_can_be_fitted() -> None:
    encoder = LexicalEncoder.fit([])
    assert encoder.statistics.documents == 0
    assert len(encoder.encode_documents(["fee"])[0]) == 1


def _id(encoder: LexicalEncoder, token: str) -> int:
    return int(encoder.vocabulary.tokenizer.whole.token_to_id(token))


def test_a_state_keeps_what_is_left_out() -> None:
    encoder = LexicalEncoder.fit(["a fee for the card", "the card is lost"])
    pruned = replace(encoder, pruning=Pruning(top_k=1))
    again = LexicalEncoder.from_state(pruned.state())
    assert again.identity == pruned.identity != encoder.identity
    assert [len(v) for v in again.encode_documents(["a fee for the lost card"])] == [1]
    assert "pruning" not in encoder.state()
