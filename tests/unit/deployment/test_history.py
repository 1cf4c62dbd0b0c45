from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from regdeploy.deployment.history import Entry, Kept, State, kept_container, read, record, shown
from regdeploy.deployment.plan import Plan
from regdeploy.deployment.steps import SettleWorkload
from regdeploy.engine.model import ObservedWorkload
from tests.builders import NOW, acme, container, deployed, foreign
from tests.unit.spine.host import ACME, INTERNAL, LOCAL, Host

DONE = Entry(
    at=NOW + timedelta(microseconds=7),
    operation="up",
    by="张伟",
    seconds=1.23456,
    steps=(("start-workload", "it is stopped (exited, exit 0)"), ("verify-serving", "only a handshake shows")),
    image="registry:3 (3.1.1, sha256:a1a1a1a1a1a1)",
    version="0.1.0",
)
STATE = State(
    saved={"domain": ["registry.example.com"], "port": 5443, "auth": False},
    image_id="sha256:a1",
    image_digests=("registry@sha256:d1",),
    certificate=2,
)
KEPT = Kept(id="f0", name="registry-replaced-1", name_before="registry", restart_policy="on-failure", restart_retries=3)
#: A line as the version before wrote it: without a number, and without what is needed to come back.
OLD = (
    '{"at": "2026-11-20T08:00:00+00:00", "operation": "up", "by": "root", "outcome": "done", "seconds": 2.5, "steps": '
)
OLD += '[{"step": "save-spec", "why": "x"}], "image": "registry:3", "regdeploy": "0.0.9"}\n'


def test_an_operation_is_one_line_that_a_person_can_read_too(tmp_path: Path) -> None:
    record(tmp_path / "history.jsonl", DONE)

    assert (tmp_path / "history.jsonl").read_text() == (
        '{"number": 1, "at": "2026-11-24T12:00:00+00:00", "operation": "up", "by": "张伟", "outcome": "done", '
        '"seconds": 1.235, "steps": [{"step": "start-workload", "why": "it is stopped (exited, exit 0)"}, '
        '{"step": "verify-serving", "why": "only a handshake shows"}], '
        '"image": "registry:3 (3.1.1, sha256:a1a1a1a1a1a1)", "regdeploy": "0.1.0"}\n'
    )
    assert (tmp_path / "history.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_failure_says_why_and_an_error_of_two_lines_stays_on_one(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    record(path, DONE)
    failed = Entry(
        at=NOW,
        operation="down",
        by="root",
        seconds=0,
        steps=(),
        image="registry:3",
        version="0.1.0",
        error="no\nengine",
    )
    record(path, failed)

    lines = path.read_text().splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == ["done", "failed"]
    assert json.loads(lines[1]) == {
        "number": 2,
        "at": "2026-11-24T12:00:00+00:00",
        "operation": "down",
        "by": "root",
        "outcome": "failed",
        "seconds": 0,
        "steps": [],
        "image": "registry:3",
        "regdeploy": "0.1.0",
        "error": "no\nengine",
    }
    assert read(path)[1] == replace(failed, number=2)


def test_what_a_kill_tore_costs_its_own_line_only(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"at": "2026')
    record(path, DONE)

    torn, whole = path.read_text().splitlines()
    assert torn == '{"at": "2026'
    assert json.loads(whole)["operation"] == "up"


def test_what_is_written_is_read_again_with_all_that_is_needed_to_come_back(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    record(path, DONE)
    record(path, replace(DONE, state=STATE, replaced=KEPT))

    at = NOW.replace(microsecond=0)
    first, second = read(path)
    assert first == replace(DONE, number=1, at=at, seconds=1.235)
    assert second == replace(DONE, number=2, at=at, seconds=1.235, state=STATE, replaced=KEPT)


def test_no_history_is_no_entries(tmp_path: Path) -> None:
    assert read(tmp_path / "history.jsonl") == ()


def test_lines_of_an_older_version_are_numbered_from_one_and_the_next_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(OLD * 3)
    assert [entry.number for entry in read(path)] == [1, 2, 3]
    record(path, replace(DONE, state=STATE))

    found = read(path)
    assert [entry.number for entry in found] == [1, 2, 3, 4]
    assert [entry.state for entry in found] == [None, None, None, STATE]
    assert found[0].steps == (("save-spec", "x"),)
    path.write_text(path.read_text() + OLD)
    record(path, DONE)
    assert [entry.number for entry in read(path)] == [1, 2, 3, 4, 5, 6]


BROKEN = (
    b'{"at": "2026',
    b"",
    b"\xff\xfe\x00",
    b"[]",
    b"null",
    b'{"operation": "up"}',
    b'{"operation": "up", "at": 7}',
    b'{"operation": "up", "at": "2026-11-24", "steps": [1]}',
    b'{"operation": "up", "at": "2026-11-24", "steps": 5, "seconds": "x"}',
    b"[" * 100_000,
    b'{"operation": "up", "at": "2026-11-24", "outcome": "done", "replaced": {"id": "x"}}',
)


@pytest.mark.parametrize("line", BROKEN, ids=lambda line: str(line[:40]))
def test_a_line_that_says_nothing_is_passed_over(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "history.jsonl"
    record(path, DONE)
    path.write_bytes(path.read_bytes() + line + b"\n")
    record(path, DONE)

    found = read(path)
    assert [entry.operation for entry in found] == ["up", "up"]
    assert found[0].number == 1
    assert found[1].number > 1


@given(st.lists(st.sampled_from([*BROKEN, OLD.encode().strip(), b'{"number": 3, ' + OLD.encode().strip()[1:]])))
@example([OLD.encode().strip()] * 5 + [b'{"number": 3, ' + OLD.encode().strip()[1:]])
def test_no_two_entries_have_one_number_whatever_lies_in_the_file(lines: list[bytes]) -> None:
    import tempfile  # noqa: PLC0415 - a folder an example

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        numbers = [entry.number for entry in read(path)]
        assert numbers == sorted(set(numbers))
        assert all(number > 0 for number in numbers)
        record(path, DONE)
        assert [entry.number for entry in read(path)] == [*numbers, max(numbers, default=0) + 1]


def test_of_a_long_file_the_end_is_read_and_its_numbers_are_those_it_had(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    for _ in range(20):
        record(path, DONE)

    most = len(path.read_bytes()) // 4
    assert [entry.number for entry in read(path, most)] == [17, 18, 19, 20]


def test_a_certificate_is_no_truth_and_a_number_is_none(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    line = {**replace(DONE, state=STATE).as_json(), "number": True, "certificate": "2"}
    path.write_text(json.dumps(line) + "\n")

    (found,) = read(path)
    assert found.number == 1
    assert found.state == replace(STATE, certificate=None)


def test_what_failed_is_no_state_whatever_its_line_says(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    record(path, replace(DONE, error="no", state=STATE, replaced=KEPT))

    (found,) = read(path)
    assert (found.error, found.state, found.replaced) == ("no", None, None)


def last(host: Host) -> Entry:
    """The newest entry."""
    return read(host.root / "history.jsonl")[-1]


def test_an_up_keeps_what_it_came_to(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")
    host.up({**ACME, "auth": False})

    image = host.engine.available["registry:3"]
    state = last(host).state
    assert state is not None
    assert (state.image_id, state.image_digests, state.certificate) == (image.id, image.repo_digests, 1)
    assert state.saved == {"domain": ["registry.example.com"], "port": 28443, "http-01-port": 28080, "auth": False}


def test_without_a_certificate_none_is_kept(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")
    host.up(INTERNAL)
    state = last(host).state
    assert state is not None
    assert state.certificate == 1
    local = Host(tmp_path / "local")
    local.up(LOCAL)
    state = last(local).state
    assert state is not None
    assert state.certificate is None


def test_the_image_is_the_containers_whatever_its_name_names_by_now(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")
    host.up(INTERNAL)
    before = host.engine.images["registry:3"]
    container = host.serving()
    assert container is not None
    host.engine.stop("registry", 1)
    host.up(INTERNAL)  # starts it
    assert last(host).operation == "up"
    host.engine.images[before.id] = before
    host.engine.images["registry:3"] = host.engine.available["registry:2.8"]
    from regdeploy.deployment.renewing import renew  # noqa: PLC0415 - restarts the container that is there

    renew(host.request({}), host.world(), host.reporter, forced=True)
    state = last(host).state
    assert (last(host).operation, state.image_id if state else "") == ("renew", before.id)
    assert state is not None
    assert (state.image_digests, state.certificate) == (before.repo_digests, 2)


def test_a_failure_keeps_no_state_and_says_so(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")
    host.up(ACME)
    host.engine.broken[host.engine.available["registry:2.8"].id] = ("panic",)
    with pytest.raises(Exception, match="does not answer"):
        host.up({**ACME, "image": "registry:2.8"})

    line = (host.root / "history.jsonl").read_text().splitlines()[-1]
    assert {"spec", "image_id", "certificate"} & set(json.loads(line)) == set()
    assert last(host).state is None
    assert "does not answer" in last(host).error


def test_an_operation_that_a_bug_ended_was_not_done(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")

    def fail(event: object) -> None:
        if host.reporter.events:
            raise AssertionError(event)
        host.reporter.events.append(event)  # type: ignore[arg-type]  # whatever it is

    host.reporter.event = fail  # type: ignore[method-assign]  # a reporter that is broken
    with pytest.raises(AssertionError):
        host.up(LOCAL)
    assert (last(host).error, last(host).state) == ("interrupted", None)


def test_nothing_secret_is_kept(tmp_path: Path) -> None:
    host = Host(tmp_path / "root")
    host.up(ACME, password="correct horse battery")
    text = (host.root / "history.jsonl").read_text()

    assert "correct horse" not in text
    assert (host.root / "secrets/http.secret").read_text().strip() not in text


KEEP = Plan((SettleWorkload(keep_as="registry-replaced-1", why="it was not made by regdeploy"),))


def test_a_container_that_somebody_else_made_is_noted_with_what_it_had() -> None:
    asked = acme()
    stranger = foreign(restart_policy="on-failure", restart_retries=3)
    expected = replace(KEPT, id=stranger.id)
    there = deployed(asked, workload=ObservedWorkload(current=stranger))
    assert kept_container(asked.spec, there, KEEP) == expected
    half = ObservedWorkload(current=container(asked), previous=replace(stranger, name="registry-previous"))
    assert kept_container(asked.spec, deployed(asked, workload=half), KEEP) == expected
    both = ObservedWorkload(current=stranger, previous=container(asked, name="registry-previous"))
    assert kept_container(asked.spec, deployed(asked, workload=both), KEEP) == expected


def test_what_is_cleared_away_is_not_noted() -> None:
    asked = acme()
    there = deployed(asked, workload=ObservedWorkload(current=foreign()))
    assert kept_container(asked.spec, there, Plan((SettleWorkload(why="the new one is verified"),))) is None
    ours = deployed(asked, workload=ObservedWorkload(current=container(asked)))
    assert kept_container(asked.spec, ours, KEEP) is None


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((), ""),
        ((("start-workload", "it is stopped"),), "start the container: it is stopped"),
        (
            (("fetch-image", "x"), ("activate-workload", "nothing runs yet"), ("save-spec", "y")),
            "start it in its place: nothing runs yet, and 2 more",
        ),
        ((("save-spec", "changed: port"), ("restart-workload", "z")), "restart the container: z, and 1 more"),
        ((("from-the-future", "why not"),), "from-the-future: why not"),
    ],
)
def test_what_was_done_in_few_words(steps: tuple[tuple[str, str], ...], words: str) -> None:
    assert replace(DONE, steps=steps).words == words


def test_what_is_shown_has_no_address_by_which_its_holder_may_write() -> None:
    saved = {
        "notify-webhook": "https://hooks.example.com/services/T0/B0/s3cret",
        "notify-mail": "smtp://ops@mail.example.com:587?from=a@example.com&to=b@example.com",
        "port": 5000,
    }
    assert shown(replace(DONE, state=replace(STATE, saved=saved)))["spec"] == {
        "notify-webhook": "https://hooks.example.com/***",
        "notify-mail": "smtp://mail.example.com:587/***",
        "port": 5000,
    }
    assert "spec" not in shown(DONE)
