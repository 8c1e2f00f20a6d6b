"""Fusions that the search pipelines of an older cluster have."""

from dataclasses import replace

from opensearch.capabilities import Capabilities
from opensearch.fusion import LEGS, Bounds, Fusion


def served_fusion(fusion: Fusion, capabilities: Capabilities) -> Fusion:
    """The fusion that comes nearest to a wanted one, among those a cluster's pipelines have.

    For plain queries of other clients: ``tandem search`` fuses by itself where the cluster cannot.
    """
    if fusion.method == "rrf":
        equal = dict.fromkeys(LEGS, 1.0)
        return replace(fusion, weights=equal) if capabilities.lacks("rrf_weights") else fusion
    if fusion.method == "zscore" and capabilities.lacks("z_score"):
        fusion = replace(fusion, method="minmax")
    if fusion.method != "minmax" or not capabilities.lacks("upper_bounds"):
        return fusion
    # A leg without bounds of its own starts at 0, which is a lower bound as well.
    low = not capabilities.lacks("lower_bounds")
    ends = {leg: Bounds(fusion.bounds_of(leg).low if low else None, None) for leg in LEGS}
    return replace(fusion, bounds=ends)
