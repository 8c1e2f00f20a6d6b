"""From the fields of a record to a document."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from ingest.readers.checks import BadRecordError, checked_document, describe, origin_id
from ingest.readers.options import ReadOptions
from ingest.records import Document, Origin, Reject
from ingest.rejects import KEPT_OF_RAW
from ingest.templates import look_up

USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("_id", "id"),
    "title": ("title",),
    "text": ("text", "body", "content"),
}


class RecordMapper:
    """Turns records into documents by the names of their fields, or by a template."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._names = {
            role: (options.fields[role],) if role in options.fields else usual
            for role, usual in USUAL_NAMES.items()
        }

    @property
    def names(self) -> Mapping[str, tuple[str, ...]]:
        """For each role the field names that can play it, first match wins."""
        return self._names

    def document(
        self, record: Mapping[str, Any], origin: Origin, raw: str = ""
    ) -> Document | Reject:
        """The record as a document, or as a reject that says what is wrong with it."""
        doc_id = None
        try:
            doc_id = self._id(record, origin)
            title, text = self._title_and_text(record)
            document = Document(doc_id, text, title, self._metadata(record), origin)
            return checked_document(document, self._options.max_document_bytes)
        except BadRecordError as error:
            return Reject(origin, str(error), doc_id, raw[:KEPT_OF_RAW])

    def _id(self, record: Mapping[str, Any], origin: Origin) -> str:
        value = self._value(record, "id")
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if self._options.generate_ids and (value is None or isinstance(value, str)):
            return origin_id(origin, PurePath(origin.file).name.partition(".")[0])
        if value is None:
            msg = f"missing id: no field {self._alternatives('id')}"
        elif isinstance(value, str):
            msg = "missing id: it is blank"
        else:
            msg = f"wrong type: the id is {describe(value)}, not a string or an integer"
        raise BadRecordError(msg)

    def _title_and_text(self, record: Mapping[str, Any]) -> tuple[str, str]:
        if self._options.template is not None:
            return self._options.template.render(record)
        text = self._string(record, "text")
        if text is None:
            msg = f"missing text: no field {self._alternatives('text')}"
            raise BadRecordError(msg)
        return self._string(record, "title") or "", text

    def _string(self, record: Mapping[str, Any], role: str) -> str | None:
        value = self._value(record, role)
        if value is None or isinstance(value, str):
            return value
        msg = f"wrong type: the {role} is {describe(value)}, not a string"
        raise BadRecordError(msg)

    def _value(self, record: Mapping[str, Any], role: str) -> Any:
        for name in self._names[role]:
            value = record[name] if name in record else look_up(record, name)
            if value is not None:
                return value
        return None

    def _metadata(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """All other fields; an object named ``metadata`` is merged in, below the record's own."""
        used = {self._used_name(record, role) for role in self._roles()}
        own = {k: v for k, v in record.items() if k not in used and v is not None}
        nested = own.get("metadata")
        if isinstance(nested, Mapping):
            del own["metadata"]
            return {k: v for k, v in nested.items() if v is not None} | own
        return own

    def _roles(self) -> tuple[str, ...]:
        # With a template the fields stay filterable: only the id moves out of the metadata.
        return ("id",) if self._options.template else ("id", "title", "text")

    def _used_name(self, record: Mapping[str, Any], role: str) -> str | None:
        return next((name for name in self._names[role] if record.get(name) is not None), None)

    def _alternatives(self, role: str) -> str:
        return " or ".join(repr(name) for name in self._names[role])
