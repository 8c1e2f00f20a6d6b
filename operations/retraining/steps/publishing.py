"""Publish and push: a version of the registry, tagged ``candidate``, and the cluster's models."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from operations.registry.draft import Draft
from operations.retraining.context import Context
from operations.retraining.job import Leg
from operations.retraining.machine import Done
from operations.retraining.production import LEGS
from operations.retraining.steps.evaluating import evaluated_legs
from operations.retraining.steps.exporting import exported_folders
from operations.retraining.steps.mining import training_records
from operations.retraining.steps.preparing import measured_sets
from operations.retraining.steps.training import candidate_models, config_file

CANDIDATE = "candidate"


def publish_step(context: Context, folder: Path) -> Done:
    """Make a version of what was trained and what production keeps.

    Raises:
        RegistryError: The registry cannot be written.
    """
    job = context.job
    manifest = context.registry.publish(job.name, _draft(context), bump=job.bump)
    version = str(manifest.version)
    context.registry.tag(job.name, CANDIDATE, version)
    result = {"version": version, "digest": manifest.digest}
    return Done(result, summary=f"{job.name} {version}, tagged {CANDIDATE}")


def push_step(context: Context, folder: Path) -> Done:
    """Push every trained leg into the cluster's nodes and verify it there.

    Raises:
        ModelError: The nodes do not take it.
        VerificationError: They do not give what the local encoder gives.
    """
    settings, job = context.job.push, context.job
    if not settings.enabled:
        return Done({}, skipped="push.enabled is off")
    from opensearch.workflows.model_packages import Naming
    from opensearch.workflows.push_model import PushRequest, push

    pushed = []
    for leg, model in version_models(context).items():
        if leg not in candidate_models(context):
            continue
        request = PushRequest(
            model=model,
            kind=leg,
            naming=Naming(name=f"{job.name}-{leg}", group=settings.group or job.name),
            apply_settings=settings.apply_settings,
        )
        pushed += push(context.client, request)
    names = ", ".join(entry.model.label for entry in pushed)
    return Done({"models": [entry.as_dict() for entry in pushed]}, summary=names)


def version_models(context: Context) -> dict[Leg, str]:
    """Leg -> what loads the published version's models, checked against what was published."""
    fetched = context.registry.fetch(context.job.name, context.result("publish")["version"])
    models: dict[Leg, str | None] = {"dense": fetched.dense, "sparse": fetched.sparse}
    return {leg: model for leg, model in models.items() if model is not None}


def _draft(context: Context) -> Draft:
    models: dict[Leg, str | Path] = {**candidate_models(context)}
    production = context.result("collect")["production"]["models"]
    for leg in LEGS:
        if leg not in models and leg in production:
            models[leg] = _kept(production[leg])
    return Draft(
        dense=models.get("dense"),
        sparse=models.get("sparse"),
        exports=exported_folders(context),
        configuration=config_file(context),
        data=dict(_data(context)),
        metrics={"evaluation": [leg.as_dict() for leg in evaluated_legs(context)]},
        parity=_parity(context),
        notes=f"Retrained by the run {context.state.run}.",
    )


def _kept(model: str) -> str | Path:
    return Path(model) if Path(model).is_dir() else model


def _data(context: Context) -> Iterator[tuple[str, Path]]:
    yield "train", training_records(context)
    for number, entry in enumerate(measured_sets(context), start=1):
        yield f"evaluation-{number}", entry.path


def _parity(context: Context) -> dict[str, Any]:
    exports = context.result("export")["exports"]
    return {name: report["parity"] for name, report in exports.items()}
