"""One small file out of the tar that an engine gives for a path in a container; what is inside is not trusted."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable

from regdeploy.errors import EngineError

MOST_BYTES = 1 << 20
#: For the headers of the file and of a long name before it.
_SLACK = 1 << 16


def only_file(where: str, path: str, chunks: Iterable[bytes]) -> bytes | None:
    """The content of the tar's first entry, or None where that is no regular file.

    Reads no more than it needs. Raises EngineError about ``where`` for a file of more than 1 MiB, and where the tar
    is none.
    """
    read = bytearray()
    for chunk in chunks:
        read += chunk
        if len(read) > MOST_BYTES + _SLACK:
            break
    try:
        with tarfile.open(fileobj=io.BytesIO(read), mode="r:") as tar:
            entry = tar.next()
            if entry is None or not entry.isreg():
                return None
            if entry.size > MOST_BYTES:
                raise EngineError(where, f"its {path} is {entry.size} bytes long, where 1 MiB is the most that is read")
            content = tar.extractfile(entry)
            return None if content is None else content.read()
    except tarfile.TarError as error:
        raise EngineError(where, f"the engine sent no file for {path}: {error}") from error
