"""Drafts for the registry that need no model library."""

from pathlib import Path

from operations.registry.draft import Draft


def draft(folder: Path, content: str = "one", **values) -> Draft:
    """A version of the lexical encoder with one more file, whose content tells versions apart."""
    folder.mkdir(parents=True, exist_ok=True)
    extra = folder / "extra.json"
    extra.write_text(content, encoding="utf-8")
    return Draft(sparse="lexical", exports={"extra": extra}, author="Ada", **values)
