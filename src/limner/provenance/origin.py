"""Whether a picture is wholly a model's work, by what its file says."""

from limner.provenance.manifest import MADE_BY_MODEL, Standing, read_manifest
from limner.provenance.xmp import read_statement


def made_by_model(file: bytes, media_type: str) -> bool:
    """Return whether a file says that a model made all of its picture.

    A manifest that holds counts, else what XMP says. A file that says nothing may be a
    photograph.
    """
    manifest = read_manifest(file, media_type)
    if manifest is not None and manifest.state is not Standing.INVALID and manifest.source_type:
        return manifest.source_type == MADE_BY_MODEL
    statement = read_statement(file)
    return statement is not None and statement.digital_source_type == MADE_BY_MODEL
