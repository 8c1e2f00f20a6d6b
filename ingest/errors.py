"""What can go wrong in the ingest package."""


class IngestError(Exception):
    """The source cannot be read, or the pipeline cannot go on; nothing written is lost."""


class SourceError(IngestError):
    """The source as a whole is unusable: missing, empty, of an unknown format."""
