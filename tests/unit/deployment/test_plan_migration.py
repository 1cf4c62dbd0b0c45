"""Whole plans of a migration: from its beginning, and from what a kill leaves at each place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from regdeploy.deployment.challenge import Challenge
from regdeploy.deployment.migration import Migration
from regdeploy.deployment.observed import Observed
from regdeploy.deployment.spec import to_saved
from regdeploy.engine.model import Mount, ObservedWorkload, Publish
from tests.builders import CONFIG, IMAGE, SECRET, acme, bare, container, deployed, folders, foreign
from tests.unit.deployment.sheet import planned, sheet

ASKED = acme(localhost_port=5000)
OLD = foreign(mounts=(Mount("9f" * 32, "/var/lib/registry", kind="volume"),))
MOVE = Migration(container=OLD.id, name=OLD.name, restart_policy="always", source=Path("/srv/old"))
HTTP_01 = (Challenge(kind="http-01", port=80, why="it needs the least"),)


OUTSIDE = replace(MOVE, source=None, address="127.0.0.1:5000")


def begun(**changes: object) -> Observed:
    """Where everything is written down and made ready, and the old one still serves."""
    facts = bare(
        ASKED,
        image=IMAGE,
        workload=ObservedWorkload(current=OLD),
        folders=folders(ASKED.spec, exist=True),
        http_secret=SECRET,
        users=("admin",),
        config_text=CONFIG,
        saved=to_saved(ASKED.spec, ASKED.sources),
        challenges=HTTP_01,
        migration=MOVE,
        begun=True,
    )
    return replace(facts, **{"certificates": deployed(ASKED).certificates, **changes})  # type: ignore[arg-type]


def test_from_the_beginning_the_old_one_serves_until_all_is_ready() -> None:
    found = bare(ASKED, image=IMAGE, workload=ObservedWorkload(current=OLD), challenges=HTTP_01, migration=MOVE)
    assert planned(ASKED, found) == sheet("""
         1. make folders                 /var/lib/registry: nothing is laid out there yet
         2. note what is taken over      whatever happens, the next run goes on from there
         3. save regdeploy.toml          so that no flag needs repeating
         4. make the upload secret       an upload must survive a replaced container
         5. write config.yml             /var/lib/registry/config/config.yml is not there yet
         6. set a password               nobody can log in yet
         7. obtain a certificate         there is none for registry.example.com
         8. create the container         it is to serve over HTTPS, with every image
         9. copy the images              from /srv/old, while registry serves
        10. make the certificate current pair and chain change together
        11. stop the container           nothing may be pushed to registry from here on [interrupts]
        12. copy what came since         what was pushed meanwhile
        13. start it in its place        it is to serve over HTTPS, with every image [interrupts]
        14. verify what is served        a container that does not serve must not replace one that did
        15. verify every image           every image of the old one must be in the new
        16. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
        17. forget the note              every image is there
    """)  # noqa: E501 - the plan as it is shown


def test_what_it_had_is_kept_its_users_and_its_settings() -> None:
    move = replace(
        MOVE,
        htpasswd="lagou:$2y$05$",
        http_secret="known",
        variables=(("REGISTRY_LOG_LEVEL", "warn"),),
    )
    found = begun(migration=move, users=(), http_secret=None)
    assert planned(ASKED, found) == sheet("""
         1. make the upload secret       an upload must survive a replaced container
         2. keep who may log in          who logs in to registry goes on to
         3. keep its settings            registry has them
         4. create the container         it is to serve over HTTPS, with every image
         5. copy the images              from /srv/old, while registry serves
         6. stop the container           nothing may be pushed to registry from here on [interrupts]
         7. copy what came since         what was pushed meanwhile
         8. start it in its place        it is to serve over HTTPS, with every image [interrupts]
         9. verify what is served        a container that does not serve must not replace one that did
        10. verify every image           every image of the old one must be in the new
        11. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
        12. forget the note              every image is there
    """)  # noqa: E501 - the plan as it is shown


def test_where_it_holds_the_challenges_port_the_copy_comes_before_the_longer_pause() -> None:
    old = replace(OLD, name="hub", publishes=(Publish("", 80, 5000),))
    certificates = bare(ASKED).certificates
    move = replace(MOVE, name="hub")
    found = begun(workload=ObservedWorkload(current=old), certificates=certificates, migration=move)
    assert planned(ASKED, found) == sheet("""
         1. create the container         it is to serve over HTTPS, with every image
         2. copy the images              from /srv/old, while hub serves
         3. rename the container         hub gives its place to registry
         4. stop the container           it holds port 80, which the challenge needs [interrupts]
         5. obtain a certificate         there is none for registry.example.com
         6. make the certificate current pair and chain change together
         7. copy what came since         what was pushed meanwhile
         8. start it in its place        it is to serve over HTTPS, with every image [interrupts]
         9. verify what is served        a container that does not serve must not replace one that did
        10. verify every image           every image of the old one must be in the new
        11. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
        12. forget the note              every image is there
    """)  # noqa: E501 - the plan as it is shown


def test_killed_after_the_stop_it_is_copied_again_before_ours_starts() -> None:
    stopped = replace(OLD, state="exited", exit_code=2)
    found = begun(workload=ObservedWorkload(current=stopped, candidate=container(ASKED, state="created")))
    assert planned(ASKED, found) == sheet("""
         1. copy the images              from /srv/old
         2. copy what came since         what was pushed meanwhile
         3. start it in its place        it is to serve over HTTPS, with every image [interrupts]
         4. verify what is served        a container that does not serve must not replace one that did
         5. verify every image           every image of the old one must be in the new
         6. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
         7. forget the note              every image is there
    """)  # noqa: E501 - the plan as it is shown


def test_killed_between_the_names_nothing_is_stopped_twice() -> None:
    stopped = replace(OLD, name="registry-previous", state="exited", exit_code=2)
    ready = container(ASKED, state="created", started_at=None)
    found = begun(workload=ObservedWorkload(candidate=ready, previous=stopped))
    assert planned(ASKED, found) == sheet("""
         1. copy the images              from /srv/old
         2. copy what came since         what was pushed meanwhile
         3. start it in its place        a replacement was interrupted
         4. verify what is served        a container that does not serve must not replace one that did
         5. verify every image           every image of the old one must be in the new
         6. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
         7. forget the note              every image is there
    """)  # noqa: E501 - the plan as it is shown


def test_killed_before_the_proof_nothing_is_copied_over_what_clients_may_have_pushed() -> None:
    stopped = replace(OLD, name="registry-previous", state="exited", exit_code=2)
    found = begun(workload=ObservedWorkload(current=container(ASKED), previous=stopped), served=deployed(ASKED).served)
    assert planned(ASKED, found) == sheet("""
         1. verify what is served        only a handshake shows what is served
         2. verify every image           every image of the old one must be in the new
         3. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
         4. forget the note              every image is there
    """)  # noqa: E501 - the plan as it is shown


def test_killed_at_the_very_end_the_note_is_forgotten() -> None:
    found = begun(workload=ObservedWorkload(current=container(ASKED)), served=deployed(ASKED).served)
    assert planned(ASKED, found) == sheet("""
         1. forget the note              every image is there
    """)


def test_its_own_name_is_given_to_ours_only_when_all_is_ready() -> None:
    old = replace(OLD, name="hub")
    found = begun(workload=ObservedWorkload(current=old), migration=replace(MOVE, name="hub"))
    assert planned(ASKED, found) == sheet("""
         1. create the container         it is to serve over HTTPS, with every image
         2. copy the images              from /srv/old, while hub serves
         3. rename the container         hub gives its place to registry
         4. stop the container           nothing may be pushed to hub from here on [interrupts]
         5. copy what came since         what was pushed meanwhile
         6. start it in its place        it is to serve over HTTPS, with every image [interrupts]
         7. verify what is served        a container that does not serve must not replace one that did
         8. verify every image           every image of the old one must be in the new
         9. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
        10. forget the note              every image is there
    """)  # noqa: E501 - the plan as it is shown


def test_images_that_lie_where_they_belong_are_not_copied() -> None:
    found = begun(migration=replace(MOVE, source=None))
    assert planned(ASKED, found) == sheet("""
         1. create the container         registry is taken over as it is, but for: image: registry:2.7 → registry:3; environment OTEL_TRACES_EXPORTER: none is missing; environment REGISTRY_AUTH: htpasswd is missing; environment REGISTRY_AUTH_HTPASSWD_PATH: /auth/htpasswd is missing; environment REGISTRY_AUTH_HTPASSWD_REALM: Registry is missing; environment REGISTRY_HTTP_ADDR: 0.0.0.0:443 is missing; environment REGISTRY_HTTP_SECRET: *** is missing; environment REGISTRY_HTTP_TLS_CERTIFICATE: /certs/registry.example.com.crt is missing; environment REGISTRY_HTTP_TLS_KEY: /certs/registry.example.com.key is missing; mount: /var/lib/registry/auth:/auth:ro is missing; mount: /var/lib/registry/certs:/certs:ro is missing; mount: /var/lib/registry/config:/etc/distribution:ro is missing; mount: /var/lib/registry/data:/var/lib/registry is missing; port: 127.0.0.1:5000:443, 443:443 is missing; port: 5000:5000 should not be there; config.yml: unknown → 311c19eebe97a53d; dropped capabilities: none → ALL; added capabilities: none → NET_BIND_SERVICE; read-only root file system: no → yes; no-new-privileges: no → yes; process limit: none → 1024; restart policy: always → unless-stopped; stop timeout: 10 s → 40 s; log size: unlimited → 10m; log files: 1 → 5
         2. start it in its place        registry is taken over as it is, but for: image: registry:2.7 → registry:3; environment OTEL_TRACES_EXPORTER: none is missing; environment REGISTRY_AUTH: htpasswd is missing; environment REGISTRY_AUTH_HTPASSWD_PATH: /auth/htpasswd is missing; environment REGISTRY_AUTH_HTPASSWD_REALM: Registry is missing; environment REGISTRY_HTTP_ADDR: 0.0.0.0:443 is missing; environment REGISTRY_HTTP_SECRET: *** is missing; environment REGISTRY_HTTP_TLS_CERTIFICATE: /certs/registry.example.com.crt is missing; environment REGISTRY_HTTP_TLS_KEY: /certs/registry.example.com.key is missing; mount: /var/lib/registry/auth:/auth:ro is missing; mount: /var/lib/registry/certs:/certs:ro is missing; mount: /var/lib/registry/config:/etc/distribution:ro is missing; mount: /var/lib/registry/data:/var/lib/registry is missing; port: 127.0.0.1:5000:443, 443:443 is missing; port: 5000:5000 should not be there; config.yml: unknown → 311c19eebe97a53d; dropped capabilities: none → ALL; added capabilities: none → NET_BIND_SERVICE; read-only root file system: no → yes; no-new-privileges: no → yes; process limit: none → 1024; restart policy: always → unless-stopped; stop timeout: 10 s → 40 s; log size: unlimited → 10m; log files: 1 → 5 [interrupts]
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
         5. forget the note              every image is there
    """)  # noqa: E501 - the plan as it is shown


def whys_cut(text: str) -> list[str]:
    """Steps without their causes, which for a container that is taken over as it is are long."""
    return [line[:33].rstrip() for line in text.split("\n")]


def test_images_outside_this_host_are_asked_for_while_the_old_one_serves_and_compared() -> None:
    text = planned(ASKED, begun(migration=OUTSIDE, certificates=bare(ASKED).certificates))
    assert whys_cut(text) == [
        " 1. obtain a certificate",
        " 2. create the container",
        " 3. see what it holds",
        " 4. make the certificate current",
        " 5. start it in its place",
        " 6. verify what is served",
        " 7. verify every image",
        " 8. clear away the old container",
        " 9. forget the note",
    ]
    assert "see what it holds            registry at 127.0.0.1:5000: the new one must hold it too" in text


def test_where_it_holds_the_challenges_port_it_is_asked_before_it_is_stopped() -> None:
    old = replace(OLD, publishes=(Publish("", 80, 5000),))
    found = begun(workload=ObservedWorkload(current=old), migration=OUTSIDE, certificates=bare(ASKED).certificates)
    assert whys_cut(planned(ASKED, found))[:4] == [
        " 1. create the container",
        " 2. see what it holds",
        " 3. stop the container",
        " 4. obtain a certificate",
    ]


def test_killed_after_the_stop_what_it_said_is_what_is_compared_and_without_that_nothing_is() -> None:
    stopped = replace(OLD, state="exited", exit_code=2)
    there = ObservedWorkload(current=stopped, candidate=container(ASKED, state="created"))
    for listed in (True, False):
        text = planned(ASKED, begun(workload=there, migration=OUTSIDE, listed=listed))
        assert "see what it holds" not in text
        assert ("verify every image" in text) is listed


def test_killed_before_the_proof_what_the_old_one_said_is_compared() -> None:
    stopped = replace(OLD, name="registry-previous", state="exited", exit_code=2)
    there = ObservedWorkload(current=container(ASKED), previous=stopped)
    found = begun(workload=there, served=deployed(ASKED).served, migration=OUTSIDE, listed=True)
    assert planned(ASKED, found) == sheet("""
         1. verify what is served        only a handshake shows what is served
         2. verify every image           every image of the old one must be in the new
         3. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
         4. forget the note              every image is there
    """)  # noqa: E501 - the plan as it is shown
    cleared = replace(found, workload=ObservedWorkload(current=container(ASKED)))
    assert planned(ASKED, cleared) == sheet("""
         1. forget the note              every image is there
    """)
