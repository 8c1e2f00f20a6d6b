"""Which index a candidate's name stands for."""

from typing import Any

import pytest

from opensearch.errors import IndexNotFoundError
from operations.shadow.errors import ShadowError
from operations.shadow.opening import candidate_info


def mapping(version: str, phase: str | None = None) -> dict[str, Any]:
    state = {"phase": phase, "source": "docs-v0-1", "source_id": "u", "done": [1]}
    notes = {"name": "docs", "analyzers": [["latin", "english"]], "sparse_field": "rank_features"}
    built = {"reindex": state} if phase else {}
    return {"mappings": {"_meta": {"tandem": {**notes, **built}}}}


class Cluster:
    """Indices of one name; the first is current."""

    def __init__(self) -> None:
        from operations.reindexing.target import STATE_NOTE

        self.indices = self
        self.there = {
            "docs-v0-1": mapping("0"),
            "docs-v1.1.0-2": mapping("1.1.0", "ready"),
            "docs-v1.1.0-10": mapping("1.1.0", "ready"),
            "docs-v1.1.0-11": mapping("1.1.0", "building"),
            "docs-v2.0.0-1": mapping("2.0.0", "building"),
        }
        for body in self.there.values():
            meta = body["mappings"]["_meta"]["tandem"]
            if "reindex" in meta:
                meta[STATE_NOTE] = meta.pop("reindex")

    def get_mapping(self, index: str, params: Any = None) -> dict[str, Any]:
        if "*" in index:
            return self.there
        physical = "docs-v0-1" if index == "docs" else index
        return {physical: self.there[physical]} if physical in self.there else {}


@pytest.mark.parametrize("candidate", ["1.1.0", "docs-v1.1.0-10"])
def test_a_version_is_its_newest_finished_build(candidate: str) -> None:
    assert candidate_info(Cluster(), "docs", candidate).physical == "docs-v1.1.0-10"


def test_an_older_build_is_named_by_its_index() -> None:
    assert candidate_info(Cluster(), "docs", "docs-v1.1.0-2").physical == "docs-v1.1.0-2"


@pytest.mark.parametrize("candidate", ["9.9.9", "2.0.0"])
def test_what_is_not_built_is_refused_with_what_is(candidate: str) -> None:
    with pytest.raises(ShadowError, match=r"docs-v1.1.0-10 \(1.1.0\)"):
        candidate_info(Cluster(), "docs", candidate)


@pytest.mark.parametrize("candidate", ["docs", "docs-v0-1"])
def test_production_is_no_candidate(candidate: str) -> None:
    with pytest.raises(ShadowError, match="nothing to compare"):
        candidate_info(Cluster(), "docs", candidate)


def test_an_unknown_index_is_not_found() -> None:
    with pytest.raises(IndexNotFoundError):
        candidate_info(Cluster(), "docs", "docs-v3")
