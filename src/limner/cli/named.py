"""Pictures as people name them: by a file or by an id."""

import re
from hashlib import sha256
from pathlib import Path


def id_of(text: str) -> str:
    """Return the id of the file that a text is the path of; a bare word is taken for an id.

    Raises NotFound or StorageFailed for a file that cannot be read.
    """
    from limner.app.files import read_file

    path = Path(text)
    if not path.exists() and re.fullmatch(r"[\w-]*", text):
        return text
    return sha256(read_file(path)).hexdigest()
