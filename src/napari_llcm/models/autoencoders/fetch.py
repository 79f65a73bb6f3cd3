"""Download published weights from the Hugging Face Hub, when a user asks for them.

The Hub's client finds the file, its size and its checksum. The bytes are fetched here: the client
throws away what it has of a file when it is stopped, and these are hundreds of megabytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...events import Event, Finished, Job, Meter, Notice, ShouldStop, Started, UserError
from ...volumes.atomic import put_in_place
from ...volumes.sole_writer import sole_writer
from .published import Source, published

_HUB = "https://huggingface.co"
_CHUNK = 2**20
_TIMEOUT = 30.0  # seconds without a byte
_SHA256 = 64  # hexadecimal digits; other files have a checksum of git's, of another form


@dataclass(frozen=True)
class Offer:
    """A file that can be downloaded.

    Parameters
    ----------
    source : Source
        Where it is had, and under which licence.
    file : str
        In its repository.
    url : str
        Its address.
    size : int
        Bytes.
    etag : str
        Names this version of it; its SHA-256, where the Hub tells that.
    """

    source: Source
    file: str
    url: str
    size: int
    etag: str

    @property
    def sha256(self) -> str | None:
        """What its bytes must add up to; None where the Hub does not say."""
        return self.etag if len(self.etag) == _SHA256 else None

    @property
    def words(self) -> str:
        """What a user should know before it is downloaded."""
        return (
            f"{self.source.repository} {self.file} ({self.source.revision}), "
            f"{_megabytes(self.size)}; licence of the weights: {self.source.licence} "
            f"({_endpoint()}/{self.source.repository})."
        )


def published_folder(name: str) -> Path:
    """Return where the downloaded files of a published autoencoder lie."""
    from platformdirs import user_data_path

    return user_data_path("napari-llcm", appauthor=False) / "published" / name


def offers(name: str) -> list[Offer]:
    """Return the files of a published autoencoder, its weights first; asks the Hub.

    Raises
    ------
    UserError
        If it is not on the Hub, which cannot be reached, or huggingface_hub is not installed.
    """
    source = published(name).source
    if source is None:
        raise UserError(f"{name} is not downloaded for you: give its file to model import-vae.")
    return [_offer(source, file) for file in (source.file, *source.beside)]


def fetch_published(found: list[Offer], folder: Path, should_stop: ShouldStop | None = None) -> Job:
    """Download files, going on with what an earlier try has left.

    Parameters
    ----------
    found : list of Offer
        From `offers`.
    folder : Path
        Where they go.
    should_stop : callable, optional
        Asked after every megabyte; what is there stays, and the job ends without `Finished`.

    Yields
    ------
    Event
        `Notice`, `Progress`, and `Finished` with the paths.

    Raises
    ------
    UserError
        If the connection breaks, a checksum is wrong or the disk is full.
    """
    total = sum(offer.size for offer in found)
    yield Started(job="fetch", total=total)
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[str] = []
    with sole_writer(folder, folder=True):
        meter = Meter(total)
        before = 0
        for offer in found:
            path = folder / Path(offer.file).name
            if not (yield from _fetched(offer, path, meter, before, should_stop)):
                return
            before += offer.size
            paths.append(str(path))
    yield Finished(result={"files": paths, "bytes": total}, value=[Path(p) for p in paths])


def _fetched(
    offer: Offer, path: Path, meter: Meter, before: int, should_stop: ShouldStop | None
) -> Generator[Event, None, bool]:
    """Download one file; return False where it was stopped."""
    if path.is_file() and path.stat().st_size == offer.size and _sound(path, offer):
        yield Notice(text=f"{path} is there already.", warning=False)
        return True
    # of this version: an earlier one's bytes would not go with these
    partial = path.with_name(f".{path.name}.{offer.etag[:12]}.partial")
    there = partial.stat().st_size if partial.is_file() else 0
    if there > offer.size:
        partial.unlink()
        there = 0
    if shutil.disk_usage(path.parent).free < offer.size - there:
        raise UserError(
            f"{path.parent} has no room for {_megabytes(offer.size - there)}: free some and start "
            "again."
        )
    if there:
        yield Notice(text=f"Going on with {path.name} at {_megabytes(there)}.", warning=False)
    try:
        with partial.open("ab") as file:
            for chunk in _chunks(offer, file.tell()):
                file.write(chunk)
                yield meter.at(before + file.tell(), path.name)
                if should_stop is not None and should_stop():
                    return False
    except (OSError, EOFError) as error:  # urllib's are of that kind
        raise UserError(
            f"The connection broke at {_megabytes(partial.stat().st_size)} of {path.name} "
            f"({error}): the same command goes on from there."
        ) from error
    if partial.stat().st_size != offer.size:
        raise UserError(
            f"The connection ended at {_megabytes(partial.stat().st_size)} of "
            f"{_megabytes(offer.size)} of {path.name}: the same command goes on from there."
        )
    if not _sound(partial, offer):
        partial.unlink()
        raise UserError(
            f"What came of {path.name} is not what the Hub says it is (its checksum differs): "
            "it was removed; start again."
        )
    if offer.sha256 is None:
        yield Notice(text=f"The Hub tells no checksum of {path.name}: its size is right.")
    put_in_place(partial, path)
    return True


def _chunks(offer: Offer, start: int) -> Iterator[bytes]:
    """Yield the bytes of a file from `start` on."""
    if start == offer.size:
        return
    request = urllib.request.Request(offer.url, headers={"Range": f"bytes={start}-"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        if response.status != 206 and start:  # a server that knows no ranges sends it all
            skipped = 0
            while skipped < start:
                skipped += len(response.read(min(_CHUNK, start - skipped)))
        while chunk := response.read(_CHUNK):
            yield chunk


def _sound(path: Path, offer: Offer) -> bool:
    if offer.sha256 is None:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == offer.sha256


def _offer(source: Source, file: str) -> Offer:
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
    except ImportError as error:
        raise UserError(
            'Downloading needs the Hub\'s client: pip install "napari-llcm[hub]".'
        ) from error
    url = hf_hub_url(source.repository, file, revision=source.revision, endpoint=_endpoint())
    where = f"{_endpoint()}/{source.repository}"
    try:
        # no token: what needs one is downloaded by hand, by somebody who has agreed to its terms
        told = get_hf_file_metadata(url, token=False, timeout=_TIMEOUT)
    except Exception as error:  # of the client's HTTP library, which differs by version
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status is None:
            raise UserError(f"{_endpoint()} cannot be reached: check the connection.") from error
        raise UserError(
            f"{where} gives no {file} ({status}): download it there, after its terms are agreed "
            "to, and give the file to model import-vae."
        ) from error
    if told.size is None or told.etag is None:
        raise UserError(f"{where} tells neither size nor version of {file}: download it there.")
    return Offer(source, file, url, int(told.size), told.etag)


def _endpoint() -> str:
    """Return the address of the Hub, or of the mirror that the client would use."""
    return os.environ.get("HF_ENDPOINT", _HUB).rstrip("/")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
