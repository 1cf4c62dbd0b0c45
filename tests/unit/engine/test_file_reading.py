"""A file out of an engine's tar, whoever made what is in it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import pytest

from regdeploy.engine.file_reading import MOST_BYTES, only_file
from regdeploy.errors import EngineError

WHERE, PATH = "container theirs", "/etc/some.yml"


def tar(*entries: tarfile.TarInfo, content: bytes = b"") -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            archive.addfile(entry, io.BytesIO(content) if entry.isreg() else None)
    return output.getvalue()


def entry(name: str = "some.yml", kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, size
    return made


def test_a_file_is_read_in_whatever_pieces_it_comes() -> None:
    text = b"version: 0.1\n" * 100
    whole = tar(entry("\N{SNOWMAN}" * 90, size=len(text)), content=text)
    for length in (1, 511, len(whole)):
        pieces = (whole[start : start + length] for start in range(0, len(whole), length))
        assert only_file(WHERE, PATH, pieces) == text


@pytest.mark.parametrize("kind", [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_what_is_no_file_is_none(kind: bytes) -> None:
    assert only_file(WHERE, PATH, [tar(entry(kind=kind), entry(size=3), content=b"abc")]) is None


def test_what_is_too_large_is_refused_from_its_header() -> None:
    def chunks() -> Iterator[bytes]:
        yield entry(size=1 << 40).tobuf(tarfile.GNU_FORMAT)
        for _ in range(3 * MOST_BYTES // 65536):
            yield bytes(65536)
        raise AssertionError("nobody needs that much")

    with pytest.raises(EngineError, match=f"{1 << 40} bytes") as raised:
        only_file(WHERE, PATH, chunks())
    assert raised.value.where == WHERE


@pytest.mark.parametrize("broken", [b"", b"x" * 512, tar(entry(size=2000), content=b"a" * 2000)[:1000]])
def test_what_is_no_whole_tar_is_the_engines_fault(broken: bytes) -> None:
    with pytest.raises(EngineError, match="sent no file"):
        only_file(WHERE, PATH, [broken])
