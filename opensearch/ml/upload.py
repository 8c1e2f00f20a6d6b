"""Upload a model in chunks; go on where an earlier upload broke off."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from opensearch.ml.bundle import Bundle
from opensearch.ml.catalogue import (
    ModelInfo,
    find_model,
    list_models,
    refreshed,
    stored_chunks,
)
from opensearch.ml.deployment import delete
from opensearch.ml.errors import ModelError
from opensearch.ml.groups import GroupNote, ensure_group, write_note
from opensearch.ml.registration import ModelCard, is_same, register_body
from opensearch.ml.rest import Request, send

logger = logging.getLogger(__name__)

CHUNK_TIMEOUT_S = 300.0
_TAKEN_S = 20.0
_PAUSE_S = 0.2
_BROKEN = frozenset({"REGISTER_FAILED"})


class PushProgress(Protocol):
    """Receiver of what happens while a model is pushed."""

    def stage(self, message: str) -> None:
        """A new step begins."""

    def uploading(self, sent: int, total: int) -> None:
        """So many of the bytes are stored by now."""


class Silent:
    """A progress that nobody sees."""

    def stage(self, message: str) -> None:
        """Ignore it."""

    def uploading(self, sent: int, total: int) -> None:
        """Ignore it."""


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """What to do with what the cluster holds already.

    Attributes:
        keep: The model to use or to complete; ``None``: register a new one.
        discard: Attempts at the same upload that nobody will complete.
    """

    keep: ModelInfo | None
    discard: tuple[ModelInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A model that is wholly in the cluster.

    Attributes:
        model: The model.
        how: ``found`` as a whole, ``continued`` from an earlier upload, or newly ``registered``.
        chunks_sent: Chunks sent just now.
    """

    model: ModelInfo
    how: Literal["found", "continued", "registered"]
    chunks_sent: int


def upload(client: Any, card: ModelCard, bundle: Bundle, progress: PushProgress) -> Uploaded:
    """Have a model in the cluster: found, completed, or registered and sent.

    Raises:
        ModelError: ML Commons refused something.
        SearchBackendError: The cluster cannot be reached; the same call goes on from there.
    """
    plan = plan_upload(list_models(client), card, bundle)
    for leftover in plan.discard:
        delete(client, leftover)
    if plan.keep is None:
        model_id = _register(client, card, bundle)
        missing = list(range(bundle.chunks))
    else:
        model_id = plan.keep.id
        missing = _missing(client, refreshed(client, plan.keep), bundle)
    if missing:
        of = f"{len(missing)} of {bundle.chunks} chunks" if plan.keep else _size(bundle)
        progress.stage(f"Uploading {card.name} ({card.function}): {of}")
    _send_chunks(client, model_id, bundle, missing=missing, progress=progress)
    how: Literal["found", "continued"] = "continued" if missing else "found"
    return Uploaded(
        model=_whole(client, model_id),
        how="registered" if plan.keep is None else how,
        chunks_sent=len(missing),
    )


def plan_upload(models: Sequence[ModelInfo], card: ModelCard, bundle: Bundle) -> UploadPlan:
    """Choose among the models that are what would be pushed: deployed, whole, half-uploaded."""
    same = [model for model in models if is_same(model, card, bundle)]
    usable = [model for model in same if model.state not in _BROKEN]
    usable.sort(key=lambda model: (model.deployed, not model.incomplete), reverse=True)
    keep = usable[0] if usable else None
    rest = [m for m in same if m is not keep and (m.incomplete or m.state in _BROKEN)]
    return UploadPlan(keep, tuple(rest))


def missing_chunks(total: int, stored: set[int], *, incomplete: bool) -> list[int]:
    """Numbers of the chunks to send, ascending.

    The last one is what makes ML Commons take the upload as complete, so it is sent last, and
    again where it arrived without that effect.
    """
    last = {total - 1} if incomplete else set()
    return sorted((set(range(total)) - stored) | last)


def _register(client: Any, card: ModelCard, bundle: Bundle) -> str:
    group_id = ensure_group(client, card.group or card.name)
    if not card.settings:
        write_note(client, group_id, GroupNote(bundle.sha256, card.fingerprint, card.source))
    body = register_body(card, bundle, group_id)
    action = f"registering {card.name}"
    answer = send(client, Request("POST", "/models/_register_meta", body), action)
    return str(answer["model_id"])


def _missing(client: Any, model: ModelInfo, bundle: Bundle) -> list[int]:
    if model.deployed or model.content_hash != bundle.sha256:
        return []  # it answers, or is the same encoder as other bytes
    stored = stored_chunks(client, model.id, bundle.chunks)
    return missing_chunks(bundle.chunks, stored, incomplete=model.incomplete)


def _send_chunks(
    client: Any, model_id: str, bundle: Bundle, *, missing: Sequence[int], progress: PushProgress
) -> None:
    left = sum(len(bundle.read_chunk(number)) for number in missing)
    for number in missing:
        chunk = bundle.read_chunk(number)
        path = f"/models/{model_id}/upload_chunk/{number}"
        action = f"uploading chunk {number + 1} of {bundle.chunks}"
        send(client, Request("POST", path, chunk, CHUNK_TIMEOUT_S), action)
        left -= len(chunk)
        progress.uploading(bundle.size - left, bundle.size)


def _whole(client: Any, model_id: str) -> ModelInfo:
    """The model, once ML Commons has taken the upload as complete."""
    end = time.monotonic() + _TAKEN_S
    model = find_model(client, model_id)
    while model.incomplete and time.monotonic() < end:
        time.sleep(_PAUSE_S)
        model = refreshed(client, model)
    if model.incomplete:
        msg = (
            f"All chunks of {model.label} were sent, yet ML Commons holds it for {model.state}. "
            f"Remove it (tandem models delete {model.id}) and push it again."
        )
        raise ModelError(msg)
    return model


def _size(bundle: Bundle) -> str:
    return (
        f"{bundle.size / 1e6:.1f} MB" if bundle.size >= 100_000 else f"{bundle.size / 1e3:.1f} kB"
    )
