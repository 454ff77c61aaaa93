"""A public corpus, from wherever it is to be had, put in place whole or not at all."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from charnn.errors import FetchError, OutputError
from charnn.files import behind, cannot_write, scratch_folder, sha256_of_file, staged_folder, sync
from charnn.public.corpora import Download, PublicCorpus, Text

#: Called with the number of bytes that just came.
Advance = Callable[[int], None]

#: Entered when a download begins.
Watch = Callable[[Download], contextlib.AbstractContextManager[Advance]]


@contextlib.contextmanager
def _unwatched(download: Download) -> Iterator[Advance]:
    yield lambda done: None


def texts_in(corpus: PublicCorpus, target: Path) -> list[Path]:
    """The files of a corpus that is at ``target``."""
    return [target / text.name for text in corpus.texts] if corpus.several else [target]


def is_there(corpus: PublicCorpus, target: Path) -> bool:
    """Whether ``target`` is this corpus, byte for byte."""
    places = zip(corpus.texts, texts_in(corpus, target), strict=True)
    return all(path.is_file() and _is(text, path) for text, path in places)


def _is(text: Text, path: Path) -> bool:
    return path.stat().st_size == text.bytes and sha256_of_file(path) == text.sha256


def check_free(corpus: PublicCorpus, target: Path, *, force: bool = False) -> None:
    """See to it that nothing is replaced that must not be.

    With ``force``, a file gives way, or a folder that holds nothing but files of this corpus.

    Raises:
        OutputError: something else is there.
    """
    if corpus.several and target.name in ("", ".."):
        raise OutputError(f"{target} is where you are", "name a folder in it: -o")
    if not target.exists() or (corpus.several and target.is_dir() and not any(target.iterdir())):
        return
    if corpus.several:
        names = {text.name for text in corpus.texts}
        ours = target.is_dir() and {path.name for path in target.iterdir()} <= names
    else:
        ours = target.is_file()
    if not ours:
        raise OutputError(f"{target} is something else", "choose another place: -o")
    if not force:
        raise OutputError(
            f"{target} exists, and is not {corpus.name} as it should be",
            "--force replaces it, -o chooses another place",
        )


def fetch(
    corpus: PublicCorpus,
    target: Path,
    *,
    timeout: float = 30.0,
    force: bool = False,
    watch: Watch = _unwatched,
) -> None:
    """Download a corpus, check it, and put it in place in one step.

    Args:
        corpus: what to fetch; where it is to be had is tried in order.
        target: the file, or the folder if it has several files.
        timeout: seconds without data after which a server is given up.
        force: whether what is there gives way.
        watch: entered for each download; what it gives is called with the bytes that came.

    Raises:
        FetchError: it is nowhere to be had.
        OutputError: it cannot be written.
    """
    check_free(corpus, target, force=force)
    target = behind(target)
    with _without_traces(target):
        if corpus.several:
            with staged_folder(target, what="text", replace=force) as folder:
                _fill(corpus, target, folder, timeout, watch)
        else:
            with scratch_folder(target, what="text") as folder, cannot_write("text", target):
                _fill(corpus, target, folder, timeout, watch)
                made = folder / corpus.texts[0].name
                sync(made)
                made.replace(target)
                sync(target.parent)


@contextlib.contextmanager
def _without_traces(target: Path) -> Iterator[None]:
    """Take the folders back that were made for what then could not be had."""
    made = [folder for folder in target.absolute().parents if not folder.exists()]
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for folder in made:
                folder.rmdir()
        raise


def _fill(corpus: PublicCorpus, target: Path, folder: Path, timeout: float, watch: Watch) -> None:
    """Put the texts of a corpus into a folder, and nothing else."""
    failures: dict[str, list[str]] = {}
    for way in corpus.ways:
        download = way[0]
        try:
            for download in way:
                with tempfile.TemporaryDirectory(prefix=".", dir=folder) as unfinished:
                    _take(corpus, download, Path(unfinished), folder, timeout, watch)
            return
        except FetchError as error:
            hosts = failures.setdefault(error.message, [])
            if (host := urlsplit(download.url).netloc) not in hosts:
                hosts.append(host)
    told = "; ".join(f"{reason} ({', '.join(hosts)})" for reason, hosts in failures.items())
    raise FetchError(f"cannot fetch {corpus.name}: {told}", by_hand(corpus, target))


def _take(
    corpus: PublicCorpus,
    download: Download,
    unfinished: Path,
    folder: Path,
    timeout: float,
    watch: Watch,
) -> None:
    """One download, and what is in it."""
    from charnn.public.download import download as fetch_file
    from charnn.public.unpack import unpack

    packed = unfinished / "download"
    with watch(download) as advance:
        fetch_file(
            download.url,
            packed,
            size=download.bytes,
            hash=download.hash,
            timeout=timeout,
            advance=advance,
        )
    for n, name in enumerate(download.texts):
        text = next(one for one in corpus.texts if one.name == name)
        path = unfinished / name
        if download.members or download.url.endswith(".gz"):
            unpack(packed, download.members[n] if download.members else None, path, text.bytes)
        else:
            packed.rename(path)
        if not _is(text, path):
            raise FetchError(f"{name} is something else, by its SHA-256")
        path.replace(folder / name)


def by_hand(corpus: PublicCorpus, target: Path) -> str:
    """How to do without charnn's help: what to download, and where to put it."""
    way = min(corpus.ways, key=len)
    urls = " and ".join(download.url for download in way)
    members = [member for download in way for member in download.members]
    unpacked = f", unpack {' and '.join(members)}" if members else ""
    places = " and ".join(map(str, texts_in(corpus, target)))
    return f"to do it by hand, fetch {urls}{unpacked}, and put it at {places}"
