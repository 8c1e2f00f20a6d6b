"""Make sure that a new index is what it must be, before anybody searches it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from encoders.base import EncoderIdentity, stamp_of
from opensearch.index_info import IndexInfo
from opensearch.mappings import DENSE_FIELD, SPARSE_FIELD, TOKENS_FIELD
from opensearch.translation import translated
from operations.reindexing.copying import Copier, Remade
from operations.reindexing.errors import VerificationError
from operations.reindexing.legs import Legs
from operations.reindexing.patience import Patience
from operations.reindexing.shards import Reader, Stored

# Runtimes batch differently; another model's vector is far below.
MIN_COSINE = 0.99
_LEGS = (DENSE_FIELD, SPARSE_FIELD, TOKENS_FIELD)


@dataclass(frozen=True, slots=True)
class Copies:
    """Two indices that must hold the same.

    Attributes:
        source: The old one.
        target: The new one.
        info: The new one's identity.
    """

    source: Reader
    target: Reader
    info: IndexInfo


def verify_whole(client: Any, copies: Copies, patience: Patience) -> None:
    """Counts and stamps, of all documents.

    Raises:
        VerificationError: A document is missing or surplus, or carries another encoder's stamp.
    """
    copies.source.refresh()
    copies.target.refresh()
    before, after = copies.source.count(), copies.target.count()
    if before != after:
        _refuse(copies, f"it holds {after} passages, the current index {before}")
    stamps = patience(
        f"counting the stamps of {copies.info.physical}",
        lambda: stamp_counts(client, copies.info.physical),
    )
    wanted = stamp_of(copies.info.dense, copies.info.sparse)
    others = {stamp: count for stamp, count in stamps.items() if stamp != wanted}
    if others or sum(stamps.values()) != after:
        _refuse(copies, f"of {after} passages, {after - stamps.get(wanted, 0)} lack its stamp")


def stamp_counts(client: Any, physical: str) -> dict[str, int]:
    """How many documents carry which stamp of their encoders."""
    body = {"size": 0, "aggs": {"stamps": {"terms": {"field": "encoder", "size": 100}}}}
    params = {"allow_partial_search_results": "false"}
    answer = client.search(index=physical, body={"search_pipeline": "_none", **body}, params=params)
    buckets = answer["aggregations"]["stamps"]["buckets"]
    return {bucket["key"]: bucket["doc_count"] for bucket in buckets}


def verify_sample(copier: Copier, copies: Copies, size: int, upto: Sequence[int]) -> int:
    """Encode some passages again and compare them with what the new index holds.

    Args:
        copier: What copied them.
        copies: Both indices.
        size: How many passages.
        upto: Per shard, up to where everything is copied; what is newer is left out.

    Returns:
        How many were compared.

    Raises:
        VerificationError: A passage differs.
    """
    if not size:
        return 0
    compared = 0
    share = -(-size // len(upto))
    for shard, mark in enumerate(upto):
        sample = copies.source.search(sample_body(share, mark, copier.wanted), shard)
        found = copies.target.get(sample, source=True)
        # What was written anew meanwhile has another number in the source by now.
        still = copies.source.get(sample)
        same = [s for s in sample if s.id in still and still[s.id].seq == s.seq]
        for remade in copier.remake(same):
            _compare(copies, remade, found.get(remade.stored.id))
        compared += len(same)
    return compared


def sample_body(
    size: int, upto: int, source: bool | Sequence[str] | Mapping[str, Any]
) -> dict[str, Any]:
    """A search for documents at random, the same for the same index."""
    chance = {"random_score": {"seed": 17, "field": "_seq_no"}}
    span = {"range": {"_seq_no": {"lte": upto}}}
    return {
        "size": size,
        "query": {"function_score": {"query": span, **chance}},
        "seq_no_primary_term": True,
        "_source": source,
    }


def _compare(copies: Copies, remade: Remade, found: Stored | None) -> None:
    stored = remade.stored
    if found is None:
        _refuse(copies, f"{stored.id} is missing")
        return
    for field in sorted(set(remade.body) | set(found.source)):
        want, have = remade.body.get(field), found.source.get(field)
        if field in (DENSE_FIELD, SPARSE_FIELD):
            if not similar(want, have):
                _refuse(copies, f"{stored.id} has another {field} vector than its text")
        elif want != have:
            _refuse(copies, f"{stored.id} differs in {field}")


def similar(one: Any, two: Any) -> bool:
    """Whether two dense vectors, or two tables of token weights, point the same way."""
    if one is None or two is None:
        return one is None and two is None
    if isinstance(one, Mapping):
        names = sorted(set(one) | set(two))
        one = [one.get(name, 0.0) for name in names]
        two = [two.get(name, 0.0) for name in names]
    a, b = np.asarray(one, np.float64), np.asarray(two, np.float64)
    if a.shape != b.shape:
        return False
    product = float(np.linalg.norm(a) * np.linalg.norm(b))
    return not product or float(a @ b) / product >= MIN_COSINE


def verify_mapping(client: Any, source: IndexInfo, target: IndexInfo, legs: Legs) -> None:
    """The new index has every field of the old one, and the identities it was built with.

    Raises:
        VerificationError: A field or an identity is missing.
    """
    fields = {info.physical: _properties(client, info.physical) for info in (source, target)}
    legs_of = {DENSE_FIELD, SPARSE_FIELD}
    for name, field in fields[source.physical].items():
        if name in legs_of or name == "metadata":
            continue
        if fields[target.physical].get(name) != field:
            msg = f"{target.physical} maps the field {name} otherwise than {source.physical}."
            raise VerificationError(msg)
    for given, wanted in ((target.dense, legs.dense), (target.sparse, legs.sparse)):
        if _fingerprint(given) != _fingerprint(wanted):
            msg = f"{target.physical} names other encoders in its `_meta` than it was built with."
            raise VerificationError(msg)


def _fingerprint(identity: EncoderIdentity | None) -> str | None:
    return identity.fingerprint if identity else None


def _properties(client: Any, physical: str) -> dict[str, Any]:
    with translated(f"reading the mapping of {physical}"):
        answer = client.indices.get_mapping(index=physical)
    properties: dict[str, Any] = answer[physical]["mappings"]["properties"]
    return properties


def _refuse(copies: Copies, fault: str) -> None:
    msg = (
        f"{copies.info.physical} was not swapped in: {fault}. Start the same command again; if it "
        f"stays so, drop the build with `tandem versions {copies.info.name} --drop "
        f"{copies.info.physical}`."
    )
    raise VerificationError(msg)
