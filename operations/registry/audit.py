"""The audit document of a version: what it is, from what it was made, and what was done with it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal, TypeAlias

from operations.registry.ledger import Entry
from operations.registry.manifest import Manifest
from operations.registry.registry import Registry

AuditFormat: TypeAlias = Literal["text", "markdown", "html", "json"]
_TEMPLATES = {"markdown": "audit.md.j2", "html": "audit.html.j2"}
_DONE = {
    "reserve": "number reserved",
    "publish": "published",
    "promote": "promoted to production",
}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Audit:
    """A version with its history.

    Attributes:
        manifest: The version.
        tags: Tags that are on it now.
        history: Ledger entries about it.
        place: The registry.
    """

    manifest: Manifest
    tags: Sequence[str]
    history: Sequence[Entry]
    place: str

    def as_dict(self) -> dict[str, Any]:
        """The audit as JSON-ready values."""
        return {
            **self.manifest.as_dict(),
            "tags": list(self.tags),
            "history": [entry.as_dict() for entry in self.history],
            "registry": self.place,
        }


def audit(registry: Registry, name: str, ref: str) -> Audit:
    """Gather what is known about a version.

    Raises:
        VersionNotFoundError: There is no such version.
        TamperedError: It is not what was published.
    """
    manifest = registry.manifest(name, ref)
    tags = [
        tag for tag, version in sorted(registry.tags(name).items()) if version == manifest.version
    ]
    entries = registry.history(name)
    about = [entry for entry in entries if entry.change.version == manifest.version]
    return Audit(manifest, tags, about, registry.store.url)


def render(found: Audit, format_: AuditFormat) -> str:
    """The document as text; HTML is one self-contained page, everything in it escaped."""
    if format_ == "json":
        return json.dumps(found.as_dict(), ensure_ascii=False, indent=2) + "\n"
    if format_ == "text":
        return "".join(f"{label + ':':<16} {value}\n" for label, value in _summary(found))
    return _from_template(found, format_)


def done(entry: Entry) -> str:
    """What a ledger entry did, in words."""
    change = entry.change
    if change.action in ("tag", "untag"):
        return f"tag {change.tag} {'set' if change.action == 'tag' else 'taken off'}"
    return _DONE[change.action]


def flat(values: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Nested values as pairs of a dotted name and a value."""
    if not isinstance(values, dict):
        return [(prefix, values)]
    pairs = [flat(v, f"{prefix}.{k}" if prefix else str(k)) for k, v in values.items()]
    return [pair for found in pairs for pair in found]


def readable(size: float) -> str:
    """Bytes for people."""
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} {_UNITS[-1]}"


def _summary(found: Audit) -> list[tuple[str, Any]]:
    manifest = found.manifest
    rows: list[tuple[str, Any]] = [
        ("model", f"{manifest.name} {manifest.version}"),
        ("tags", ", ".join(found.tags) or "none"),
        ("published", f"{manifest.created:%Y-%m-%d %H:%M} UTC by {manifest.author}"),
        ("notes", manifest.notes or "none"),
        ("commit", manifest.git_commit or "none: not in a repository"),
        ("content", f"sha256 {manifest.digest}"),
        ("files", f"{len(manifest.files)}, {readable(manifest.size)}"),
    ]
    for kind, entry in (("dense", manifest.dense), ("sparse", manifest.sparse)):
        if entry is not None:
            fingerprint = entry.identity.get("fingerprint", "known only with a corpus")
            rows.append((kind, f"{entry.folder or entry.preset} ({fingerprint})"))
    rows += [(f"data {role}", f"{d.name} sha256 {d.sha256}") for role, d in manifest.data.items()]
    rows += [(f"metric {name}", value) for name, value in flat(dict(manifest.metrics))]
    rows += [(f"parity {name}", value) for name, value in flat(dict(manifest.parity))]
    rows += [
        (f"{entry.at:%Y-%m-%d %H:%M}", f"{done(entry)} by {entry.author}")
        for entry in found.history
    ]
    return rows


def _from_template(found: Audit, format_: AuditFormat) -> str:
    from jinja2 import Environment, StrictUndefined

    source = resources.files("operations.registry").joinpath(_TEMPLATES[format_])
    # The author of a note is not the author of the page: HTML is escaped; Markdown's tables are
    # kept whole by the filter `cell`.
    environment = Environment(
        autoescape=format_ == "html",  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({"size": readable, "done": done, "cell": _cell, "shown": _shown})
    template = environment.from_string(source.read_text(encoding="utf-8"))
    manifest = found.manifest
    models = [(k, m) for k, m in (("dense", manifest.dense), ("sparse", manifest.sparse)) if m]
    return template.render(
        audit=found,
        manifest=manifest,
        models=models,
        metrics=flat(dict(manifest.metrics)),
        parity=flat(dict(manifest.parity)),
    )


def _cell(value: Any) -> str:
    """A value inside a Markdown table: on one line, nothing in it read as mark-up."""
    text = " ".join(_shown(value).split())
    for sign in ("\\", "|", "`", "<", "*", "_", "[", "]"):
        text = text.replace(sign, f"\\{sign}")
    return text


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
