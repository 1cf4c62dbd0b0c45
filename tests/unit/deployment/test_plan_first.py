"""The first ``up``: what is there before is nothing, or somebody else's."""

from __future__ import annotations

from regdeploy.deployment.challenge import Challenge
from regdeploy.engine.model import Mount, ObservedWorkload, Publish
from tests.builders import ENGINE, IMAGE, SECRET, acme, bare, container, files, folders, foreign, internal, resolved
from tests.unit.deployment.sheet import planned, sheet


def test_without_a_domain_there_is_no_certificate_and_no_login() -> None:
    asked = resolved()
    assert planned(asked, bare(asked)) == sheet("""
         1. make folders                 /var/lib/registry: nothing is laid out there yet
         2. make the upload secret       an upload must survive a replaced container
         3. write config.yml             /var/lib/registry/config/config.yml is not there yet
         4. fetch the image              the engine does not have registry:3
         5. create the container         nothing runs yet
         6. start it in its place        nothing runs yet
         7. verify what is served        a container that does not serve must not replace one that did
         8. save regdeploy.toml          so that no flag needs repeating
    """)


FIRST_WITH_A_NAME = sheet("""
     1. make folders                 /var/lib/registry: nothing is laid out there yet
     2. make the upload secret       an upload must survive a replaced container
     3. write config.yml             /var/lib/registry/config/config.yml is not there yet
     4. set a password               nobody can log in yet
     5. obtain a certificate         there is none for registry.example.com
     6. fetch the image              the engine does not have registry:3
     7. create the container         nothing runs yet
     8. make the certificate current pair and chain change together
     9. start it in its place        nothing runs yet
    10. verify what is served        a container that does not serve must not replace one that did
    11. save regdeploy.toml          so that no flag needs repeating
""")


def test_with_a_domain_there_are_a_certificate_from_the_ca_and_a_login() -> None:
    asked = acme()
    assert planned(asked, bare(asked)) == FIRST_WITH_A_NAME


def test_the_users_own_pair_is_stored_like_any_other_certificate() -> None:
    asked = files()
    assert planned(asked, bare(asked)) == FIRST_WITH_A_NAME


def test_the_internal_ca_is_a_source_like_any_other() -> None:
    asked = internal()
    assert planned(asked, bare(asked)) == FIRST_WITH_A_NAME


def test_several_domains_are_asked_for_together() -> None:
    asked = acme(domain=["registry.example.com", "mirror.example.com"], auth=False)
    found = bare(asked, image=IMAGE, http_secret=SECRET, folders=folders(asked.spec, exist=True))
    assert planned(asked, found) == sheet("""
         1. write config.yml             /var/lib/registry/config/config.yml is not there yet
         2. obtain a certificate         there is none for registry.example.com, mirror.example.com
         3. create the container         nothing runs yet
         4. make the certificate current pair and chain change together
         5. start it in its place        nothing runs yet
         6. verify what is served        a container that does not serve must not replace one that did
         7. save regdeploy.toml          so that no flag needs repeating
    """)


def test_an_archive_stands_for_the_pull() -> None:
    asked = resolved(image_archive="/root/registry.tar")
    assert planned(asked, bare(asked)) == sheet("""
         1. make folders                 /var/lib/registry: nothing is laid out there yet
         2. make the upload secret       an upload must survive a replaced container
         3. write config.yml             /var/lib/registry/config/config.yml is not there yet
         4. fetch the image              the engine does not have registry:3 of /root/registry.tar
         5. create the container         nothing runs yet
         6. start it in its place        nothing runs yet
         7. verify what is served        a container that does not serve must not replace one that did
         8. save regdeploy.toml          so that no flag needs repeating
    """)


def test_killed_after_the_container_was_prepared_the_next_run_starts_that_one() -> None:
    asked = resolved()
    prepared = ObservedWorkload(candidate=container(asked, name="registry-next", state="created"))
    found = bare(
        asked,
        image=IMAGE,
        http_secret=SECRET,
        folders=folders(asked.spec, exist=True),
        config_text="version: 0.1\n",
        workload=prepared,
    )
    assert planned(asked, found) == sheet("""
         1. start it in its place        nothing runs yet
         2. verify what is served        a container that does not serve must not replace one that did
         3. save regdeploy.toml          so that no flag needs repeating
    """)


def test_a_strangers_container_is_described_asked_about_and_kept() -> None:
    asked = resolved()
    found = bare(asked, image=IMAGE, workload=ObservedWorkload(current=foreign()))
    assert planned(asked, found) == sheet("""
         1. make folders                 /var/lib/registry: nothing is laid out there yet
         2. make the upload secret       an upload must survive a replaced container
         3. write config.yml             /var/lib/registry/config/config.yml is not there yet
         4. create the container         registry was not made by regdeploy (registry:2.7, 5000→5000, data inside the container); it is stopped and kept, and nothing in it is removed, but its settings and images are not taken over (`regdeploy migrate-to-https` does that)
         5. start it in its place        registry was not made by regdeploy (registry:2.7, 5000→5000, data inside the container); it is stopped and kept, and nothing in it is removed, but its settings and images are not taken over (`regdeploy migrate-to-https` does that) [interrupts]
         6. verify what is served        a container that does not serve must not replace one that did
         7. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
         8. save regdeploy.toml          so that no flag needs repeating
    """)  # noqa: E501 - the plan as it is shown


def test_a_strangers_stopped_container_is_asked_about_too() -> None:
    asked = resolved()
    stopped = foreign(
        state="exited",
        exit_code=0,
        image="",
        publishes=(),
        mounts=(Mount("images", "/var/lib/registry", kind="volume"), Mount("/srv/certs", "/certs")),
    )
    found = bare(
        asked,
        image=IMAGE,
        http_secret=SECRET,
        folders=folders(asked.spec, exist=True),
        config_text="version: 0.1\n",
        workload=ObservedWorkload(current=stopped),
    )
    assert planned(asked, found) == sheet("""
         1. create the container         registry was not made by regdeploy (sha256:2727272727272727272727272727272727272727272727272727272727272727, no port, data in volume images); it is stopped and kept, and nothing in it is removed, but its settings and images are not taken over (`regdeploy migrate-to-https` does that)
         2. start it in its place        registry was not made by regdeploy (sha256:2727272727272727272727272727272727272727272727272727272727272727, no port, data in volume images); it is stopped and kept, and nothing in it is removed, but its settings and images are not taken over (`regdeploy migrate-to-https` does that) [interrupts]
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
         5. save regdeploy.toml          so that no flag needs repeating
    """)  # noqa: E501 - the plan as it is shown


def test_a_stranger_that_holds_the_challenges_port_is_stopped_before_the_order() -> None:
    asked = acme()
    stranger = foreign(publishes=(Publish("", 80, 5000), Publish("127.0.0.1", 5000, 5000)))
    found = bare(
        asked,
        engine=ENGINE,
        image=IMAGE,
        http_secret=SECRET,
        folders=folders(asked.spec, exist=True),
        config_text="version: 0.1\n",
        workload=ObservedWorkload(current=stranger),
        challenges=(Challenge(kind="http-01", port=80, why="nothing else can be had"),),
    )
    assert planned(asked, found) == sheet("""
         1. set a password               nobody can log in yet
         2. stop the container           it holds port 80, which the challenge needs [interrupts]
         3. obtain a certificate         there is none for registry.example.com
         4. create the container         registry was not made by regdeploy (registry:2.7, 80→5000, 5000→5000, data inside the container); it is stopped and kept, and nothing in it is removed, but its settings and images are not taken over (`regdeploy migrate-to-https` does that)
         5. make the certificate current pair and chain change together
         6. start it in its place        registry was not made by regdeploy (registry:2.7, 80→5000, 5000→5000, data inside the container); it is stopped and kept, and nothing in it is removed, but its settings and images are not taken over (`regdeploy migrate-to-https` does that) [interrupts]
         7. verify what is served        a container that does not serve must not replace one that did
         8. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
         9. save regdeploy.toml          so that no flag needs repeating
    """)  # noqa: E501 - the plan as it is shown


def test_killed_while_taking_a_strangers_place_the_stranger_is_still_kept() -> None:
    asked = resolved()
    found = bare(
        asked,
        image=IMAGE,
        http_secret=SECRET,
        folders=folders(asked.spec, exist=True),
        config_text="version: 0.1\n",
        workload=ObservedWorkload(previous=foreign(name="registry-previous", state="exited", exit_code=0)),
    )
    assert planned(asked, found) == sheet("""
         1. create the container         a replacement was interrupted
         2. start it in its place        a replacement was interrupted
         3. verify what is served        a container that does not serve must not replace one that did
         4. clear away the old container it was not made by regdeploy: kept, stopped, as registry-replaced-20261124-120000
         5. save regdeploy.toml          so that no flag needs repeating
    """)  # noqa: E501 - the plan as it is shown
