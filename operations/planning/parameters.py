"""How many parameters of a model every token passes, from the heads of its weight files."""

from math import prod

from encoders.options import LoadOptions
from encoders.source import find_source
from operations.planning.errors import PlanningError

# Looked up, not multiplied with.
_TABLES = ("embeddings.", "embed_tokens", "wte.", "shared.weight")


def passed_parameters(model: str, load: LoadOptions) -> float:
    """Parameters of the network without its tables of token vectors.

    Raises:
        PlanningError: There are no weight files to look into.
        EncoderError: There is no such model.
    """
    from safetensors import SafetensorError, safe_open

    total = 0
    folder = find_source(model, load).folder
    try:
        for path in sorted(folder.rglob("*.safetensors")):
            with safe_open(str(path), "np") as weights:
                names = [n for n in weights.keys() if not any(t in n for t in _TABLES)]
                total += sum(prod(weights.get_slice(name).get_shape()) for name in names)
    except (OSError, SafetensorError) as error:
        msg = f"{folder} holds weights that cannot be read: {error}"
        raise PlanningError(msg) from error
    if not total:
        msg = f"{model} has no weights in safetensors, so its arithmetic is not known."
        raise PlanningError(msg)
    return float(total)
