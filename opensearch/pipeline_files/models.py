"""Names of models in a file, to the ids of the cluster."""

from collections.abc import Sequence
from typing import Any

from opensearch.ml.catalogue import ModelInfo, choose_model, list_models
from opensearch.ml.errors import ModelError
from opensearch.pipeline_files.bodies import Resolver, Role

# What each role cannot be served by: the side a model was made for, and its function.
_WRONG_SIDE = {"documents": "query", "queries": "document"}
_OWN_SIDE = {"documents": "document", "queries": "query"}


class ModelNames:
    """Resolves names against the cluster's models, read once; remembers what it resolved.

    Attributes:
        resolved: Label of each model that was asked for, by its id.
    """

    def __init__(self, models: Sequence[ModelInfo]) -> None:
        self._models = models
        self.resolved: dict[str, str] = {}

    def __call__(self, name: str, role: Role) -> str:
        """Id of a model.

        Raises:
            ModelNotFoundError: There is none of that name.
            ModelError: It is not for this role.
        """
        model = choose_model(self._models, name)
        check_role(model, role)
        self.resolved[model.id] = model.label
        return model.id


def model_names(client: Any) -> ModelNames:
    """A resolver for one cluster."""
    return ModelNames(list_models(client))


def check_role(model: ModelInfo, role: Role) -> None:
    """Refuse a model that gives nothing of use in a role.

    Raises:
        ModelError: It encodes the other side only, or is of another kind.
    """
    if role in _WRONG_SIDE and model.notes.get("side") == _WRONG_SIDE[role]:
        msg = (
            f"{model.label} encodes {_WRONG_SIDE[role]} texts only; here it gets {role}. Name the "
            f"connection with --side {_OWN_SIDE[role]}."
        )
        raise ModelError(msg)
    if role == "documents" and model.function == "SPARSE_TOKENIZE":
        msg = f"{model.label} only looks up query tokens; documents need its encoding model"
        raise ModelError(msg)
    reranks = model.notes.get("kind") == "rerank" or model.function == "TEXT_SIMILARITY"
    if reranks != (role == "pairs") and (reranks or model.notes.get("kind")):
        msg = f"{model.label} is no model for {role}: its kind is {_kind(model)}"
        raise ModelError(msg)


def _kind(model: ModelInfo) -> str:
    return str(model.notes.get("kind") or model.function)


def unresolved(name: str, _role: Role) -> str:
    """A resolver that needs no cluster: the name stands for its id."""
    return f"<id of {name}>"


__all__ = ["ModelNames", "Resolver", "check_role", "model_names", "unresolved"]
