"""A banking help desk in English and Korean, in BEIR form: see ``SOURCE.md`` in this folder."""
