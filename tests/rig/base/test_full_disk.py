"""A disk that is full, for real: a tiny one of the test's own."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.tls.ends import on_tiny_disk

_CODE = """
import json, os, pickle, sys
from pathlib import Path
from regdeploy.errors import HostError
from regdeploy.files import append_line, make_folder, switch_link, write_whole

folder, size = Path(sys.argv[1]), pickle.load(sys.stdin.buffer)
write_whole(folder / "file", b"old", 0o600)
append_line(folder / "log", "one", 0o600)
said = {}
def attempt(name, act):
    try:
        act()
    except HostError as error:
        said[name] = [str(error), error.hint, error.code]
attempt("write_whole", lambda: write_whole(folder / "file", b"x" * size, 0o600))
with open(folder / "filler", "wb", buffering=0) as filler:
    try:
        while filler.write(b"x" * 4096):
            pass
    except OSError:
        pass
attempt("append_line", lambda: append_line(folder / "log", "x" * size, 0o600))
print(json.dumps({"said": said, "left": sorted(os.listdir(folder)), "file": (folder / "file").read_text()}))
os.remove(folder / "filler")
append_line(folder / "log", "two", 0o600)
print((folder / "log").read_text().splitlines()[0], (folder / "log").read_text().splitlines()[-1])
"""


def test_on_a_full_disk_the_old_file_stays_and_no_temporary_one_is_left(tmp_path: Path) -> None:
    first, second = on_tiny_disk(tmp_path, "64k", _CODE, 100_000).splitlines()

    hint = "free some space on that disk, then run the same command again"
    assert json.loads(first) == {
        "said": {
            "write_whole": [f"{tmp_path}/file: No space left on device", hint, "host.full"],
            "append_line": [f"{tmp_path}/log: No space left on device", hint, "host.full"],
        },
        "left": ["file", "filler", "log"],
        "file": "old",
    }
    assert second == "one two", "a line that was cut short spoiled its neighbours"
