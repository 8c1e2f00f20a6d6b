"""What a version needs beyond its artifacts: modules' classes, Java, JVM options, policies."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from opensearch.errors import EngineError
from opensearch.local.locks import known_versions


@dataclass(frozen=True)
class Module:
    """One folder below `modules/`. Published module jars carry no descriptor: we write it.

    Attributes:
        plugin_class: Class that OpenSearch loads.
        extends: Names of the modules whose classes it sees.
        policy: Lines of a Java security policy (only OpenSearch 2 reads them).
    """

    plugin_class: str
    extends: tuple[str, ...] = ()
    policy: tuple[str, ...] = ()


@dataclass(frozen=True)
class Distribution:
    """One OpenSearch version as the local engine runs it.

    Attributes:
        version: OpenSearch version, as its lock file is named.
        java: Oldest and newest Java it runs on; no upper end where the second is None.
        modules: The modules by folder name.
        jvm_options: Options this version needs on the command line.
        environment: Environment variables the node's process needs.
        has_security: Whether the security plugin is among its artifacts.
        security_manager: Whether it runs under Java's Security Manager.
        download_bytes: Size of all its artifacts.
    """

    version: str
    java: tuple[int, int | None]
    modules: Mapping[str, Module]
    jvm_options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    has_security: bool = False
    security_manager: bool = False
    download_bytes: int = 0

    def java_options(self, major: int) -> tuple[str, ...]:
        """Options for Java of this major version."""
        # Java 18 to 23 have the Security Manager only when asked; older ones do not know `allow`.
        if self.security_manager and major >= 18:
            return (*self.jvm_options, "-Djava.security.manager=allow")
        return self.jvm_options


def distribution(version: str) -> Distribution:
    """The description of one version.

    Raises:
        EngineError: The local engine does not know that version.
    """
    try:
        return _DISTRIBUTIONS[version]
    except KeyError as error:
        known = ", ".join(known_versions())
        msg = f"The local engine cannot be OpenSearch {version}. Known: {known}."
        raise EngineError(msg) from error


_PAINLESS = ("lang-painless",)

_MODULES_3: Mapping[str, Module] = {
    "aggs-matrix-stats": Module(
        "org.opensearch.search.aggregations.matrix.MatrixAggregationModulePlugin"
    ),
    "analysis-common": Module(
        "org.opensearch.analysis.common.CommonAnalysisModulePlugin", _PAINLESS
    ),
    "geo": Module("org.opensearch.geo.GeoModulePlugin"),
    "ingest-common": Module("org.opensearch.ingest.common.IngestCommonModulePlugin", _PAINLESS),
    "lang-mustache": Module("org.opensearch.script.mustache.MustacheModulePlugin"),
    "lang-painless": Module("org.opensearch.painless.PainlessModulePlugin"),
    "mapper-extras": Module("org.opensearch.index.mapper.MapperExtrasModulePlugin"),
    "parent-join": Module("org.opensearch.join.ParentJoinModulePlugin"),
    "reindex": Module("org.opensearch.index.reindex.ReindexModulePlugin"),
    "search-pipeline-common": Module(
        "org.opensearch.search.pipeline.common.SearchPipelineCommonModulePlugin"
    ),
    "transport-grpc": Module("org.opensearch.transport.grpc.GrpcPlugin"),
    "transport-netty4": Module("org.opensearch.transport.Netty4ModulePlugin"),
}

_MODULES_2: Mapping[str, Module] = {
    "aggs-matrix-stats": Module(
        "org.opensearch.search.aggregations.matrix.MatrixAggregationPlugin"
    ),
    "analysis-common": Module("org.opensearch.analysis.common.CommonAnalysisPlugin", _PAINLESS),
    "geo": Module("org.opensearch.geo.GeoModulePlugin"),
    "ingest-common": Module("org.opensearch.ingest.common.IngestCommonPlugin", _PAINLESS),
    "lang-mustache": Module(
        "org.opensearch.script.mustache.MustachePlugin",
        policy=('permission java.lang.RuntimePermission "accessDeclaredMembers";',),
    ),
    "lang-painless": Module(
        "org.opensearch.painless.PainlessPlugin",
        policy=(
            'permission java.lang.RuntimePermission "createClassLoader";',
            'permission java.lang.RuntimePermission "getClassLoader";',
        ),
    ),
    "mapper-extras": Module("org.opensearch.index.mapper.MapperExtrasPlugin"),
    "parent-join": Module("org.opensearch.join.ParentJoinPlugin"),
    "reindex": Module(
        "org.opensearch.index.reindex.ReindexPlugin",
        policy=(
            'permission java.net.SocketPermission "*", "connect";',
            'permission java.net.NetPermission "getProxySelector";',
        ),
    ),
    "search-pipeline-common": Module(
        "org.opensearch.search.pipeline.common.SearchPipelineCommonModulePlugin"
    ),
    "transport-netty4": Module(
        "org.opensearch.transport.Netty4Plugin",
        policy=(
            'permission java.net.SocketPermission "*", "accept,connect";',
            'permission java.lang.RuntimePermission "getClassLoader";',
            'permission java.lang.RuntimePermission "setContextClassLoader";',
            'permission java.util.PropertyPermission "sun.nio.ch.bugLevel", "write";',
            'permission java.io.FilePermission "/proc/sys/net/core/somaxconn", "read";',
        ),
    ),
}

_DISTRIBUTIONS: Mapping[str, Distribution] = {
    "3.6.0": Distribution(
        version="3.6.0",
        java=(21, None),
        modules=_MODULES_3,
        # Lucene's vectorised distances are in the incubator module.
        jvm_options=(
            "--add-modules=jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED",
        ),
        download_bytes=619_975_336,
    ),
    "2.19.1": Distribution(
        version="2.19.1",
        # Newer Java has no Security Manager, which OpenSearch 2 insists on.
        java=(11, 21),
        modules=_MODULES_2,
        # The ML plugin asks for PyTorch 1.13.1 by a property; DJL reads the environment first.
        environment={"PYTORCH_VERSION": "2.5.1"},
        has_security=True,
        security_manager=True,
        download_bytes=591_739_753,
    ),
}
