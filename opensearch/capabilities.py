"""What the cluster can do; a refusal to tell (403) means unknown, never absent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from opensearch.errors import CapabilityError, ClusterUnreachableError
from opensearch.translation import if_allowed

# Set by the local engine, whose k-NN plugin comes without its native libraries.
NATIVES_ATTRIBUTE = "tandem_knn_natives"


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that came with a version.

    Attributes:
        since: The first version that has it.
        purpose: What it is, as the subject of a sentence.
    """

    since: tuple[int, ...]
    purpose: str


# By the release notes of OpenSearch and of its plugin neural-search; what 2.19.1 and 3.6.0 do was
# tried. `server_fusion`: older servers take the bounds of a normalisation and the collapsing of a
# hybrid query without an error, and ignore them; and they have no `combined_fields`.
FEATURES: Mapping[str, Feature] = MappingProxyType(
    {
        "hybrid_filter": Feature((3, 0), "A filter inside a hybrid query"),
        "lower_bounds": Feature((3, 0), "A lower bound of the min_max normalisation"),
        "z_score": Feature((3, 0), "The z_score normalisation"),
        "sparse_analyzer": Feature((3, 0), "A neural_sparse query by analyzer"),
        "rrf_weights": Feature((3, 1), "Reciprocal rank fusion with weights"),
        "hybrid_collapse": Feature((3, 1), "Collapsing the hits of a hybrid query"),
        "semantic_field": Feature((3, 1), "The field type semantic"),
        "upper_bounds": Feature((3, 2), "An upper bound of the min_max normalisation"),
        "combined_fields": Feature((3, 2), "A combined_fields query"),
        "server_fusion": Feature((3, 2), "Fusion by the server as by the client"),
        "seismic": Feature((3, 3), "The SEISMIC sparse field"),
    }
)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Version and plugins of a cluster.

    Attributes:
        version: ``(3, 6, 0)``, or ``None`` where the user may not ask.
        plugins: Plugin names that every node carries, or ``None`` where the user may not ask.
        knn_natives: ``False`` where faiss and quantised formats would kill the node; ``None``:
            nothing says so.
    """

    version: tuple[int, ...] | None = None
    plugins: frozenset[str] | None = None
    knn_natives: bool | None = None

    def has(self, plugin: str) -> bool:
        """Whether a plugin is certainly there."""
        return self.plugins is not None and plugin in self.plugins

    def require_plugin(self, plugin: str, purpose: str) -> None:
        """Refuse, before anything is sent, what the cluster certainly lacks.

        Raises:
            CapabilityError: The plugin list is known and does not hold the plugin.
        """
        if self.plugins is not None and plugin not in self.plugins:
            msg = f"{purpose} needs the plugin {plugin}, which this cluster does not carry."
            raise CapabilityError(msg)

    def certainly(self, feature: str) -> bool:
        """Whether the version is known and has a feature of ``FEATURES``."""
        return self.version is not None and self.version >= FEATURES[feature].since

    def lacks(self, feature: str) -> bool:
        """Whether the version is known and older than a feature of ``FEATURES``."""
        return self.version is not None and self.version < FEATURES[feature].since

    def require(self, feature: str) -> None:
        """Refuse, before anything is sent, a feature of ``FEATURES`` that the version lacks.

        Raises:
            CapabilityError: The version is known and older.
        """
        self.require_version(FEATURES[feature].since, FEATURES[feature].purpose)

    def require_version(self, minimum: tuple[int, ...], purpose: str) -> None:
        """Refuse what a known, older version lacks.

        Raises:
            CapabilityError: The version is known and below ``minimum``.
        """
        if self.version is not None and self.version < minimum:
            want, have = (".".join(map(str, v)) for v in (minimum, self.version))
            msg = f"{purpose} needs OpenSearch {want} or newer; this cluster is {have}."
            raise CapabilityError(msg)


def detect(client: Any) -> Capabilities:
    """Ask the cluster for its version, plugins and node attributes.

    Raises:
        ClusterUnreachableError: Nothing usable answers.
    """
    return Capabilities(
        version=_version(client), plugins=_plugins(client), knn_natives=_natives(client)
    )


def _version(client: Any) -> tuple[int, ...] | None:
    answer = if_allowed("asking for its version", client.info)
    if answer is None:
        return None
    version = answer.get("version") if isinstance(answer, dict) else None
    number = version.get("number") if isinstance(version, dict) else None
    if not isinstance(number, str):
        msg = "What answers at that address is not OpenSearch. Is the address right?"
        raise ClusterUnreachableError(msg)
    return tuple(int(part) for part in re.findall(r"\d+", number.split("-")[0]))


def _plugins(client: Any) -> frozenset[str] | None:
    rows = if_allowed("listing its plugins", lambda: client.cat.plugins(format="json"))
    if rows is None:
        return None
    by_node: dict[str, set[str]] = {}
    for row in rows:
        by_node.setdefault(row["name"], set()).add(row["component"])
    return frozenset(set.intersection(*by_node.values())) if by_node else frozenset()


def _natives(client: Any) -> bool | None:
    rows = if_allowed("reading its node attributes", lambda: client.cat.nodeattrs(format="json"))
    values = {row["value"] for row in rows or () if row["attr"] == NATIVES_ATTRIBUTE}
    return False if "false" in values else None
