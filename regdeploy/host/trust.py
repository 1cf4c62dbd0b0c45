"""Make this host's Docker, Podman, Skopeo and Buildah trust a private CA for one registry, and nothing else.

They look for ``*.crt`` in a folder named after the registry as image references write it (``HOST``, ``HOST:PORT``):
Docker below /etc/docker/certs.d (https://docs.docker.com/engine/security/certificates/), the others below
/etc/containers/certs.d and then /etc/docker/certs.d, where the first folder of that name wins (containers-certs.d(5)).
So both are written: a rootless Podman cannot read an /etc/docker of mode 0700.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from string import Template

from regdeploy.errors import HostError
from regdeploy.files import make_folder, refusal, write_whole
from regdeploy.rendering import template_text

DOCKER_CERTS = Path("/etc/docker/certs.d")
CONTAINERS_CERTS = Path("/etc/containers/certs.d")
HTTPS_PORT = 443


def reference_host(domain: str, port: int) -> str:
    """How the registry stands at the front of an image reference: mostly without its port when that is 443.

    Docker takes a first part without a dot, without a port and other than ``localhost`` for a Docker Hub user
    (distribution/reference, ``splitDockerDomain``), so a single label always carries its port. An IPv6 address stands
    in brackets.
    """
    host = f"[{domain}]" if ":" in domain else domain
    plain = "." in domain or ":" in domain or domain == "localhost"
    return host if port == HTTPS_PORT and plain else f"{host}:{port}"


def trust_locations(
    domain: str, port: int, *, docker_certs: Path = DOCKER_CERTS, containers_certs: Path = CONTAINERS_CERTS
) -> tuple[Path, ...]:
    """The files in which clients on this host look for the CA of ``domain``:``port``."""
    host = reference_host(domain, port)
    return (docker_certs / host / "ca.crt", containers_certs / host / "ca.crt")


def install_ca(
    pem: bytes,
    domain: str,
    port: int,
    *,
    ours: tuple[bytes, ...] = (),
    docker_certs: Path = DOCKER_CERTS,
    containers_certs: Path = CONTAINERS_CERTS,
) -> tuple[Path, ...]:
    """Put the CA certificate ``pem`` where clients on this host look; return the files written, if any.

    A ``ca.crt`` with other content is replaced only when it equals one of ``ours`` (roots that regdeploy made before);
    otherwise HostError, and nothing was written. Clients need no restart.
    """
    places = trust_locations(domain, port, docker_certs=docker_certs, containers_certs=containers_certs)
    found = {place: _content(place) for place in places}
    for place, content in found.items():
        if content not in (None, pem, *ours):
            raise HostError(
                str(place),
                "is there already and holds another CA, which regdeploy did not put there",
                f"`openssl x509 -noout -subject -in {place}` shows it: move it away, then run `regdeploy trust` again",
                code="host.trust",
            )
    missing = tuple(place for place, content in found.items() if content != pem)
    for place in missing:
        make_folder(place.parent, 0o755)
        write_whole(place, pem, 0o644)
    return missing


def uninstall_ca(
    pem: bytes,
    domain: str,
    port: int,
    *,
    docker_certs: Path = DOCKER_CERTS,
    containers_certs: Path = CONTAINERS_CERTS,
) -> tuple[Path, ...]:
    """Take away what ``install_ca`` put there; return the files removed.

    A ``ca.crt`` with other content stays. The registry's folder goes when it is empty. Raises HostError.
    """
    removed = []
    for place in trust_locations(domain, port, docker_certs=docker_certs, containers_certs=containers_certs):
        if _content(place) != pem:
            continue
        try:
            place.unlink()
        except OSError as error:
            raise refusal(place, error) from error
        removed.append(place)
        with suppress(OSError):  # client certificates of the user's lie there too
            place.parent.rmdir()
    return tuple(removed)


def instructions(domain: str, port: int, pem_path: Path) -> str:
    """What to do on other machines, for every kind of client, as text for the user.

    A wildcard's star becomes ``NAME``: references have no wildcards, and a shell would expand it.
    """
    domain = domain.replace("*", "NAME")
    return Template(template_text("trust.txt")).substitute(
        host=reference_host(domain, port), domain=domain, pem=str(pem_path)
    )


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise refusal(path, error) from error
