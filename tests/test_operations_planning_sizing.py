from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.records import Chunk, Document, Origin, Reject
from operations.planning.candidates import Candidate, Choices, candidates
from operations.planning.errors import PlanningError
from operations.planning.lz4 import CHUNK, stored_size
from operations.planning.memory import memory
from operations.planning.profile import SparseProfile, TextProfile, analysed, text_profile
from operations.planning.sampling import sample_documents
from operations.planning.sizing import (
    Corpus,
    disk,
    graph_bytes,
    searched_bytes,
    total,
    vector_bytes,
)

TEXT = TextProfile(
    chunks=100,
    passage_bytes=50_000,
    stored_bytes=40_000,
    id_bytes=800,
    words=8_000,
    postings=6_000,
    terms=2_000,
    growth=0.6,
    tokens=12_000,
    known=100,
)
SPARSE = SparseProfile(
    chunks=100,
    entries=5_000,
    terms=1_500,
    stored_bytes=60_000,
    companion_bytes=55_000,
    tokens=12_000,
)
CORPUS = Corpus(documents=1000, factor=10.0, text=TEXT, sparse=SPARSE)
DENSE = Candidate(dense="m", dimension=384)


def lines(candidate, corpus=CORPUS):
    return {line.what: line.amount for line in disk(corpus, candidate)}


@pytest.mark.parametrize(
    ("vectors", "stored", "searched"),
    [("float", 1536, 1536), ("4x", 1536 + 384 + 4, 388), ("byte", 384, 384), ("32x", 1598, 62)],
)
def test_bytes_of_a_vector(vectors, stored, searched):
    assert vector_bytes(384, vectors) == stored
    assert searched_bytes(384, vectors) == searched


def test_vectors_cost_what_lucene_writes():
    found = lines(DENSE)
    assert found["vectors (float)"] == 1000 * 1536
    assert 0.01 < found["HNSW graph"] / found["vectors (float)"] < 0.05


def test_only_passages_that_the_encoder_knows_get_a_vector():
    half = replace(CORPUS, text=replace(TEXT, known=50))
    assert lines(DENSE, half)["vectors (float)"] == 500 * 1536
    assert memory(half, DENSE)[0].amount == 500 * 1536


def test_a_quarter_more_disk_for_a_quarter_of_the_memory():
    small = replace(DENSE, vectors="4x")
    assert total(disk(CORPUS, small)) - total(disk(CORPUS, DENSE)) == 1000 * 388
    assert memory(CORPUS, small)[0].amount < 0.26 * memory(CORPUS, DENSE)[0].amount


@given(st.integers(1, 10**9))
def test_a_graph_costs_less_per_passage_than_all_its_links_in_full(chunks):
    assert 0 <= graph_bytes(chunks) <= chunks * 5 * 2 * 16
    assert graph_bytes(chunks + 1) >= graph_bytes(chunks)


def test_token_weights_are_stored_or_kept_in_a_companion():
    features = lines(Candidate(sparse="s"))
    seismic = lines(Candidate(sparse="s", sparse_field="seismic"))
    assert features["token weights, stored"] == 600_000
    assert seismic["companion, forward index"] == pytest.approx(1000 * 50 * 8.07)
    assert "token weights, stored" not in seismic
    assert features["token weights, searched"] == seismic["token weights, searched"]


@given(st.floats(1.0, 1e6), st.integers(1, 9))
def test_size_grows_with_the_corpus_and_not_faster(factor, shards):
    candidate = replace(DENSE, sparse="s", shards=shards)
    one = total(disk(CORPUS, candidate))
    many = total(disk(replace(CORPUS, factor=10.0 * factor), candidate))
    fixed = shards * 8_000
    assert one - 1 <= many <= 1.2 * factor * one + fixed


def test_seismic_needs_the_heap_from_a_million_passages_on():
    candidate = Candidate(sparse="s", sparse_field="seismic")
    (small,) = memory(CORPUS, candidate)
    (large,) = memory(replace(CORPUS, factor=20_000.0), replace(candidate, replicas=1))
    assert small.amount == 0
    assert large.amount == 2 * 2_000_000 * 1_000


def test_every_combination_is_a_candidate_once():
    found = candidates(
        Choices("m", (384, 128), ("float", "4x"), "s", ("rank_features", "seismic"), (None, 32))
    )
    assert len(found) == len(set(found)) == 1 + 2 * 2 * 2 * 2
    assert found[0].label == "BM25"
    assert found[-1].label == "BM25 + 128d 4x + seismic top 32"
    assert candidates(Choices(None, (), ("float", "4x"), None, ("seismic",), (None,))) == [
        Candidate()
    ]
    with pytest.raises(PlanningError, match="--dimension"):
        candidates(Choices("m", (), ("float",), None, ("seismic",), (None,)))


@pytest.mark.parametrize("vectors", ["byte", "32x"])
def test_what_cannot_be_built_is_marked(vectors):
    assert not replace(DENSE, vectors=vectors).buildable
    assert DENSE.buildable


def test_repeated_text_is_small_and_noise_is_not():
    words = b"the annual fee of the card is charged in January "
    repeated = [words * 20] * 200
    before, after = stored_size(repeated)
    assert before == len(words) * 4000
    assert after < 0.05 * before
    noise = [sha256(str(n).encode()).digest() for n in range(4000)]
    before, after = stored_size(noise)
    assert before < after <= 1.01 * before


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=400), max_size=60))
def test_compression_never_makes_much_more_of_it(documents):
    before, after = stored_size(documents)
    assert before == sum(map(len, documents))
    # A block that cannot be compressed costs one byte in 255, and two to begin; ten to a chunk.
    assert 0 <= after <= before * (1 + 1 / 255) + 11 * 3 * (1 + before // CHUNK)


def test_some_chunks_stand_for_all():
    documents = [
        f"document {n} about fee number {n * 7919 % 1000}".encode() * 30 for n in range(900)
    ]
    before, after = stored_size(documents)
    some_before, some_after = stored_size(documents, most_chunks=3)
    assert some_before < before / 2
    assert some_after / some_before == pytest.approx(after / before, rel=0.1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The fee is 25 won", ["fee", "25", "won"]),
        ("연회비 환불", ["연회", "회비", "환불"]),
        ("환", ["환"]),
        ("E-4012 DSR은", ["e", "4012", "dsr", "은"]),
        ("", []),
    ],
)
def test_words_are_counted_as_analyzers_do(text, words):
    assert list(analysed(text)) == words


def chunk(number: int, text: str) -> Chunk:
    return Chunk(f"d{number}", 0, text, 0, len(text), title="Fees")


def test_a_profile_counts():
    profile = text_profile([chunk(n, f"fee of card {n}") for n in range(4)], None)
    assert (profile.chunks, profile.words, profile.postings) == (4, 4 * 4, 4 * 4)
    assert profile.terms == 1 + 2 + 4
    assert profile.id_bytes == 4 * len("d0#0")
    assert profile.tokens == 0
    assert 0 < profile.growth <= 1


def documents(count: int):
    for number in range(count):
        yield Reject(Origin("f", number), "broken")
        yield Document(f"d{number}", "x" * (1 + number % 10))


def test_a_sample_keeps_the_order_and_knows_the_rest():
    sample = sample_documents(documents(1000), 50)
    places = [int(document.id[1:]) for document in sample.documents]
    assert len(places) == 50
    assert places == sorted(set(places))
    assert sample.total == 1000
    assert sample.factor == pytest.approx(20, rel=0.2)
    assert sample_documents(documents(1000), 50) == sample
    assert sample.scaled_to(4000).factor == pytest.approx(4 * sample.factor)


def test_all_of_a_small_corpus_is_the_sample():
    sample = sample_documents(documents(7), 50)
    assert (len(sample.documents), sample.factor) == (7, 1.0)


def test_every_document_is_as_likely():
    kept = [d.id for d in sample_documents(documents(2000), 400).documents]
    early = sum(int(name[1:]) < 1000 for name in kept)
    assert 150 < early < 250


def test_an_empty_corpus_is_refused():
    with pytest.raises(PlanningError, match="no documents"):
        sample_documents([], 10)
