"""A deployment that is as it should be, and one thing that is to be otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from regdeploy.deployment.plan import plan
from regdeploy.deployment.spec import Resolved
from regdeploy.deployment.steps import WriteConfig
from regdeploy.deployment.workload import start_of
from regdeploy.engine.model import ObservedWorkload
from tests.builders import (
    CONFIG,
    DOMAIN,
    IMAGE,
    NOW,
    acme,
    container,
    deployed,
    files,
    folders,
    foreign,
    internal,
    resolved,
)
from tests.unit.deployment.sheet import planned, sheet

WAS = acme()


@pytest.mark.parametrize("asked", [resolved(), acme(), files(), internal(), acme(auth=False), resolved(auth=True)])
def test_where_everything_is_as_it_should_be_nothing_is_to_be_done(asked: Resolved) -> None:
    done = plan(asked, deployed(asked), CONFIG, NOW)
    assert (done.steps, done.text(), done.as_json(), done.interrupts, done.destroys) == ((), "", [], False, False)


def test_another_port_is_another_container() -> None:
    assert planned(acme(port=8443), deployed(WAS)) == sheet("""
         1. create the container         port: 443:443 → 8443:443
         2. start it in its place        port: 443:443 → 8443:443 [interrupts]
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container the new one is verified
         5. save regdeploy.toml          changed: port
    """)


def test_another_address_to_listen_on_is_another_container() -> None:
    assert planned(acme(bind="203.0.113.7"), deployed(WAS)) == sheet("""
         1. create the container         port: 443:443 → 203.0.113.7:443:443
         2. start it in its place        port: 443:443 → 203.0.113.7:443:443 [interrupts]
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container the new one is verified
         5. save regdeploy.toml          changed: bind
    """)


def test_an_image_of_the_other_generation_wants_its_config_elsewhere() -> None:
    older = replace(IMAGE, id="sha256:" + "28" * 32, command=("/etc/docker/registry/config.yml",))
    found = deployed(acme(image="registry:3.0"), image=older)
    assert planned(acme(image="registry:2.8"), found) == sheet("""
         1. create the container         image: registry:3.0 → registry:2.8; mount: /var/lib/registry/config:/etc/distribution:ro should not be there; mount: /var/lib/registry/config:/etc/docker/registry:ro is missing
         2. start it in its place        image: registry:3.0 → registry:2.8; mount: /var/lib/registry/config:/etc/distribution:ro should not be there; mount: /var/lib/registry/config:/etc/docker/registry:ro is missing [interrupts]
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container the new one is verified
         5. save regdeploy.toml          changed: image
    """)  # noqa: E501 - the plan as it is shown


def test_another_image_that_the_engine_lacks_is_fetched_before_anything_stops() -> None:
    assert planned(acme(image="registry:2.8"), deployed(WAS, image=None)) == sheet("""
         1. fetch the image              the engine does not have registry:2.8
         2. create the container         the image is to be registry:2.8
         3. start it in its place        the image is to be registry:2.8 [interrupts]
         4. verify what is served        a container that does not serve must not replace one that did
         5. clear away the old container the new one is verified
         6. save regdeploy.toml          changed: image
    """)


def test_an_image_that_is_gone_from_the_engine_is_fetched_and_started_anew() -> None:
    assert planned(WAS, deployed(WAS, image=None)) == sheet("""
         1. fetch the image              the engine does not have registry:3
         2. create the container         the image is to be registry:3
         3. start it in its place        the image is to be registry:3 [interrupts]
         4. verify what is served        a container that does not serve must not replace one that did
         5. clear away the old container the new one is verified
    """)


def test_an_image_that_was_pulled_anew_under_the_same_name_is_used() -> None:
    newer = replace(IMAGE, id="sha256:" + "b2" * 32)
    assert planned(WAS, deployed(WAS, image=newer)) == sheet("""
         1. create the container         image: sha256:a1a1a1a1a1a1 → registry:3 (sha256:b2b2b2b2b2b2)
         2. start it in its place        image: sha256:a1a1a1a1a1a1 → registry:3 (sha256:b2b2b2b2b2b2) [interrupts]
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container the new one is verified
    """)


def test_without_a_login_the_users_stay_and_nothing_is_asked_of_them() -> None:
    assert planned(acme(auth=False), deployed(WAS)) == sheet("""
         1. create the container         environment REGISTRY_AUTH: htpasswd should not be there; environment REGISTRY_AUTH_HTPASSWD_PATH: /auth/htpasswd should not be there; environment REGISTRY_AUTH_HTPASSWD_REALM: Registry should not be there; mount: /var/lib/registry/auth:/auth:ro should not be there
         2. start it in its place        environment REGISTRY_AUTH: htpasswd should not be there; environment REGISTRY_AUTH_HTPASSWD_PATH: /auth/htpasswd should not be there; environment REGISTRY_AUTH_HTPASSWD_REALM: Registry should not be there; mount: /var/lib/registry/auth:/auth:ro should not be there [interrupts]
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container the new one is verified
         5. save regdeploy.toml          changed: auth
    """)  # noqa: E501 - the plan as it is shown


def test_another_domain_on_the_certificate_needs_another_certificate_but_the_same_container() -> None:
    assert planned(acme(domain=[DOMAIN, "mirror.example.com"]), deployed(WAS)) == sheet("""
         1. obtain a certificate         it is for registry.example.com
         2. make the certificate current pair and chain change together
         3. restart the container        a registry reads its certificate only at start [interrupts]
         4. verify what is served        only a handshake shows what is served
         5. save regdeploy.toml          changed: domain
    """)


def test_a_user_named_since_gets_a_password_and_nothing_restarts() -> None:
    assert planned(acme(user="ops"), deployed(WAS)) == sheet("""
         1. set a password               ops cannot log in yet
         2. save regdeploy.toml          changed: user
    """)


def test_a_password_that_was_given_is_set_and_nothing_restarts() -> None:
    assert planned(WAS, deployed(WAS, password_given=True)) == sheet("""
         1. set a password               another password was given for admin
    """)


def test_where_others_can_log_in_the_default_user_is_not_made() -> None:
    assert planned(WAS, deployed(WAS, users=("ops",))) == ""


def test_where_nobody_can_log_in_the_first_user_is_made() -> None:
    assert planned(WAS, deployed(WAS, users=())) == sheet("""
         1. set a password               nobody can log in yet
    """)


def test_what_matters_to_no_container_is_only_saved() -> None:
    assert planned(acme(email="ops@example.com", timeout=90), deployed(WAS)) == sheet("""
         1. save regdeploy.toml          changed: email, timeout
    """)


def test_what_was_set_in_the_saved_spec_and_is_not_any_more_is_named_as_changed() -> None:
    found = deployed(WAS)
    assert planned(WAS, replace(found, saved={**(found.saved or {}), "timeout": 90})) == sheet("""
         1. save regdeploy.toml          changed: timeout
    """)


def test_a_saved_spec_that_is_gone_is_saved_again() -> None:
    assert planned(WAS, deployed(WAS, saved=None)) == sheet("""
         1. save regdeploy.toml          so that no flag needs repeating
    """)


def test_a_config_that_was_edited_by_hand_is_written_again_and_read_again() -> None:
    assert planned(WAS, deployed(WAS, config_text="version: 0.1\nproxy: {}\n")) == sheet("""
         1. write config.yml             /var/lib/registry/config/config.yml is not what this version writes
         2. restart the container        it may have read the config.yml that was there [interrupts]
         3. verify what is served        only a handshake shows what is served
    """)


def test_a_config_that_was_put_right_before_a_kill_is_read_by_the_next_up() -> None:
    found = deployed(WAS)
    current = found.workload.current
    assert current is not None
    assert planned(WAS, replace(found, config_unread_by=start_of(current))) == sheet("""
         1. restart the container        it may have read the config.yml that was there [interrupts]
         2. verify what is served        only a handshake shows what is served
    """)


def test_a_start_since_then_has_read_the_config_that_is_there() -> None:
    found = deployed(WAS)
    current = found.workload.current
    assert current is not None
    before = replace(current, started_at=NOW - timedelta(days=4))
    assert planned(WAS, replace(found, config_unread_by=start_of(before))) == ""


def test_the_start_that_read_another_config_is_noted_with_the_right_one() -> None:
    def unread_by(**changes: object) -> list[str]:
        steps = plan(WAS, deployed(WAS, **changes), CONFIG, NOW).flat
        return [step.unread_by for step in steps if isinstance(step, WriteConfig)]

    current = container(WAS)
    stopped = ObservedWorkload(current=replace(current, state="exited"))
    assert unread_by(config_text="edited") == [start_of(current)]
    assert unread_by(config_text="") == [""]
    assert unread_by(config_text="edited", workload=stopped, served=None) == [""]
    assert unread_by(config_text="edited", workload=ObservedWorkload(current=foreign())) == [""]
    assert unread_by(config_text="edited", workload=ObservedWorkload(), served=None) == [""]


def test_a_config_that_is_gone_is_written_again_while_the_registry_goes_on() -> None:
    assert planned(WAS, deployed(WAS, config_text="")) == sheet("""
         1. write config.yml             /var/lib/registry/config/config.yml is not there yet
    """)


def test_a_config_that_this_version_writes_otherwise_is_another_container() -> None:
    assert planned(WAS, deployed(WAS), config="version: 0.2\n") == sheet("""
         1. write config.yml             /var/lib/registry/config/config.yml is not what this version writes
         2. create the container         config.yml: 311c19eebe97a53d → 93bb356e3bb0c4c9
         3. start it in its place        config.yml: 311c19eebe97a53d → 93bb356e3bb0c4c9 [interrupts]
         4. verify what is served        a container that does not serve must not replace one that did
         5. clear away the old container the new one is verified
    """)


def test_an_upload_secret_that_is_gone_is_made_anew_with_a_container_that_knows_it() -> None:
    assert planned(WAS, deployed(WAS, http_secret=None)) == sheet("""
         1. make the upload secret       an upload must survive a replaced container
         2. create the container         the upload secret is missing
         3. start it in its place        the upload secret is missing [interrupts]
         4. verify what is served        a container that does not serve must not replace one that did
         5. clear away the old container the new one is verified
    """)


def test_folders_that_are_gone_are_made_again() -> None:
    assert planned(WAS, deployed(WAS, folders=folders(WAS.spec, exist=True, missing=("acme", "auth")))) == sheet("""
         1. make folders                 /var/lib/registry: some are missing
    """)


def test_a_program_reads_each_step_with_its_cause_and_what_it_means_for_clients() -> None:
    found = deployed(WAS, http_secret=None, image=None)
    assert plan(acme(auth=False), found, CONFIG, NOW).as_json() == [
        {
            "step": "make-secret",
            "why": "an upload must survive a replaced container",
            "interrupts": False,
            "destroys": False,
        },
        {
            "step": "fetch-image",
            "why": "the engine does not have registry:3",
            "interrupts": False,
            "destroys": False,
        },
        {
            "step": "prepare-workload",
            "why": "the image is to be registry:3",
            "interrupts": False,
            "destroys": False,
        },
        {
            "step": "activate-workload",
            "why": "the image is to be registry:3",
            "interrupts": True,
            "destroys": False,
        },
        {
            "step": "verify-serving",
            "why": "a container that does not serve must not replace one that did",
            "interrupts": False,
            "destroys": False,
        },
        {"step": "settle-workload", "why": "the new one is verified", "interrupts": False, "destroys": False},
        {"step": "save-spec", "why": "changed: auth", "interrupts": False, "destroys": False},
    ]
