"""Reasons that ML Commons gives, and what to do about them."""

NATIVES = (
    "The nodes lack PyTorch's native libraries, which ML Commons needs for ONNX models too, and "
    "cannot fetch them from publish.djl.ai. Let the nodes reach that address, or put the libraries "
    "in place (docs/models.md, 'Nodes without internet'), and restart them: a node that failed "
    "once does not try again. Or run the model beside the cluster: `tandem serve`."
)
_CURES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("publish.djl.ai", "Cannot download jni files", "Failed to save pytorch index file"),
        NATIVES,
    ),
    (("Could not initialize class ai.djl",), NATIVES),
    (
        ("Exceed max local model per node limit",),
        "Undeploy a model that nobody uses (`tandem models list`), or raise the setting "
        "plugins.ml_commons.max_model_on_node.",
    ),
    (
        ("Native Memory Circuit Breaker",),
        "The nodes' memory is fuller than plugins.ml_commons.native_memory_threshold allows: free "
        "some, or raise it (`tandem models push … --apply-settings`; 100 switches it off).",
    ),
    (
        ("Memory Circuit Breaker",),
        "The nodes' Java heap is fuller than plugins.ml_commons.jvm_heap_memory_threshold allows: "
        "try again in a minute, give the nodes more heap, or raise it (100 switches it off).",
    ),
    (
        ("Disk Circuit Breaker",),
        "A node has less disk free than plugins.ml_commons.disk_free_space_threshold: free some.",
    ),
    (
        ("No eligible node found",),
        "plugins.ml_commons.only_run_on_ml_node keeps models on nodes with the role `ml`, and "
        "there is none: `tandem models push … --apply-settings` changes that.",
    ),
    (
        ("model content changed", "hash value is not equal"),
        "What the cluster stores of the model is damaged: `tandem models delete` it and push it "
        "again.",
    ),
    (
        ("Input mismatch", "Invalid input tensor name"),
        "The graph's inputs are not those that ML Commons feeds: push the model from its source, "
        "so that it is exported for the node.",
    ),
    (
        ("deploy the model first", "not deployed"),
        "Deploy it: `tandem models deploy NAME`.",
    ),
)

# Garbage of the upload fills a small heap for some seconds; the collector empties it.
PASSING = "Memory Circuit Breaker"


def cure(reason: str) -> str | None:
    """What to do about a reason that ML Commons gave; ``None`` where nothing is known."""
    lowered = reason.lower()
    for signs, text in _CURES:
        if any(sign.lower() in lowered for sign in signs):
            return text
    return None
