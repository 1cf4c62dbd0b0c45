"""Docker's images: looked at, pulled, loaded from an archive."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regdeploy.engine.client import Client
from regdeploy.engine.facts import image_facts
from regdeploy.engine.model import ImageFacts, PullProgress
from regdeploy.engine.protocol import Report
from regdeploy.errors import EngineError, ImageError

if TYPE_CHECKING:
    from regdeploy.engine.archives import Archive

#: The engine's words for why it has no image, and what to make of each; the first that fits counts.
_REFUSALS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "image.platform",
        ("no matching manifest", "does not match the specified platform", "no match for platform"),
        "that image is not made for this machine: choose another with --image",
    ),
    (
        "image.not-found",
        ("manifest unknown", "repository does not exist", "name unknown", "not found"),
        "check the name and the tag given with --image; a private image needs `docker login` first",
    ),
    (
        "image.login",
        ("unauthorized", "no basic auth credentials", "denied", "401", "403", "toomanyrequests", "credential"),
        "log in with `docker login HOST` as the user who runs regdeploy",
    ),
    ("engine.full", ("no space left on device",), "free some space on the engine's disk (`docker system df`)"),
    (
        "image.network",
        (
            *("dial tcp", "no such host", "timeout", "deadline exceeded", "connection re", "unreachable"),
            *("EOF", "x509", "tls:", "proxyconnect", "request canceled", "HTTP response to HTTPS client"),
        ),
        (
            "without a network: `--image-archive FILE`; with a slow or blocked one: --image HOST/NAME:TAG of a mirror, "
            'or "registry-mirrors" in /etc/docker/daemon.json'
        ),
    ),
)


class Images:
    """The images of one engine."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def find(self, reference: str) -> ImageFacts | None:
        """Return the local image of that name, digest or id, or None."""
        from docker.errors import NotFound  # noqa: PLC0415 - heavy

        with self._client.speaking(f"image {reference}"):
            try:
                return image_facts(self._client.api.inspect_image(reference))  # type: ignore[no-untyped-call]
            except NotFound:
                return None

    def pull(self, reference: str, report: Report) -> ImageFacts:
        """Fetch it; see Engine."""
        from docker.errors import DockerException  # noqa: PLC0415 - heavy

        where = f"image {reference}"
        progress = _Layers(report)
        with self._client.speaking(where):
            try:
                events: Iterator[dict[str, Any]] = self._client.api.pull(reference, stream=True, decode=True)
            except DockerException as error:
                words = getattr(error, "explanation", None) or str(error)
                raise refusal(where, words) from error
        # A generator: closed early, it makes the engine stop pulling.
        with closing(self._spoken(where, events)) as spoken:
            for event in spoken:
                if "error" in event:
                    raise refusal(where, (event.get("errorDetail") or {}).get("message") or event["error"])
                progress.take(event)
        image = self.find(reference)
        if image is None:
            raise ImageError(where, "the engine says it pulled this image and does not have it", "run it again")
        return image

    def _spoken(self, where: str, events: Iterator[dict[str, Any]]) -> Generator[dict[str, Any], None, None]:
        with self._client.speaking(where):
            yield from events

    def load(self, path: Path, report: Report, architecture: str, tag_as: str) -> ImageFacts:
        """Load the image for ``architecture`` of an archive; see Engine."""
        from regdeploy.engine.archives import open_archive  # noqa: PLC0415 - tarfile, only where an archive was given

        where = str(path)
        with open_archive(path, architecture, tag_as) as archive:
            if archive.image.zstd and self._client.version["ApiVersion"] == "1.41":
                hint = "make it with --dest-compress-format gzip (skopeo), or upgrade the engine to 23.0"
                raise ImageError(where, "its layers are compressed with zstd", hint, code="image.archive")
            loaded = self._send(archive, where, report)
        image = self.find(loaded)
        if image is None:
            raise ImageError(where, f"the engine loaded {loaded} and does not have it", code="image.archive")
        return self._named(image, tag_as, where) if tag_as else image

    def _send(self, archive: Archive, where: str, report: Report) -> str:
        """Send it, and return the name or id of what the engine loaded."""

        def chunks() -> Iterator[bytes]:
            done = 0
            for chunk in archive.chunks():
                done += len(chunk)
                report(PullProgress(min(done, archive.size), archive.size, "loading"))
                yield chunk

        loaded = ""
        with self._client.patient(where) as api:
            for event in api.load_image(chunks(), quiet=False):  # type: ignore[no-untyped-call]
                if "error" in event:
                    words = (event.get("errorDetail") or {}).get("message") or event["error"]
                    raise ImageError(where, words, "make the archive again with `docker save`", code="image.archive")
                text = event.get("stream") or ""
                if text.startswith("Loaded image"):
                    loaded = text.partition(": ")[2].strip()
        if not loaded:
            raise ImageError(where, "holds nothing that the engine could load", code="image.archive")
        return loaded

    def _named(self, image: ImageFacts, tag_as: str, where: str) -> ImageFacts:
        found = self.find(tag_as)
        if found is not None and found.id == image.id:
            return found
        if "@" in tag_as:
            what = f"holds {', '.join(image.tags) or image.id}, which is not {tag_as}"
            raise ImageError(where, what, "name it with --image", code="image.archive")
        self.tag(image.id, tag_as)
        named = self.find(tag_as)
        if named is None or named.id != image.id:
            raise EngineError(f"image {tag_as}", "something else changed it meanwhile", "run the same command again")
        return named

    def tag(self, image_id: str, reference: str) -> None:
        """Have ``reference`` name that image; see Engine."""
        from docker.utils import parse_repository_tag  # noqa: PLC0415 - heavy

        repository, tag = parse_repository_tag(reference)
        with self._client.speaking(f"image {reference}"):
            self._client.api.tag(image_id, repository, tag or "latest", force=True)


class _Layers:
    """Bytes over all layers of a pull, from the engine's events about each."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._layers: dict[str, tuple[int, int]] = {}

    def take(self, event: dict[str, Any]) -> None:
        """Count one event in and report, unless it is about something else."""
        layer, status = event.get("id") or "", event.get("status") or ""
        detail = event.get("progressDetail") or {}
        done, total = self._layers.get(layer, (0, 0))
        if status == "Downloading":
            self._layers[layer] = (int(detail.get("current") or done), max(int(detail.get("total") or 0), total))
        elif status in ("Verifying Checksum", "Download complete", "Pull complete") and layer in self._layers:
            self._layers[layer] = (max(done, total), max(done, total))
        elif status != "Extracting":
            return
        note = "extracting" if status == "Extracting" else "downloading"
        counts = self._layers.values()
        self._report(PullProgress(sum(done for done, _ in counts), sum(total for _, total in counts), note))


def refusal(where: str, words: str) -> ImageError:
    """The ImageError for what the engine said about an image."""
    for code, fragments, hint in _REFUSALS:
        if any(fragment.lower() in words.lower() for fragment in fragments):
            return ImageError(where, words.strip(), hint, code=code)
    return ImageError(where, words.strip())
