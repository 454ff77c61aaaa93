"""Public corpora: fetched whole or not at all, whatever servers and archives do."""

import gzip
import hashlib
import io
import json
import os
import pickle
import pty
import re
import resource
import select
import shlex
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from unicodedata import east_asian_width

import pytest
import web as answers
from hypothesis import given
from hypothesis import strategies as st
from web import serving

from charnn.cli.corpus import find, listing, next_commands, place
from charnn.data.store import TokenizedCorpus
from charnn.errors import FetchError, OutputError, UsageError
from charnn.public.corpora import PUBLIC_CORPORA, Download, PublicCorpus, Text
from charnn.public.download import download
from charnn.public.fetch import by_hand, check_free, fetch, is_there
from charnn.public.unpack import unpack

DATA = ("一狐看月。The fox looks at the moon.\n" * 3000).encode()
SIZE = len(DATA)
PARTS = {"train": DATA, "validation": b"A moon .\n" * 300, "test": b"A fox .\n" * 200}


@pytest.fixture
def web():
    with serving() as server:
        yield server


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def zipped(**members: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return made.getvalue()


def corpus_of(*ways: tuple[Download, ...], texts: tuple[Text, ...] = (), **more) -> PublicCorpus:
    texts = texts or (Text("fox.txt", SIZE, digest(DATA)),)
    return PublicCorpus("fox", "both", "A fox.", "CC0", "ours", "", texts, ways, **more)


def plain(url: str) -> Download:
    return Download(url, SIZE, f"sha256:{digest(DATA)}", ("fox.txt",))


def archived(url: str, data: bytes, *members: str) -> Download:
    return Download(url, len(data), f"sha256:{digest(data)}", ("fox.txt",), members)


def splits(web) -> PublicCorpus:
    """A corpus of three files, each of which is a download."""
    texts = tuple(Text(f"{s}.tokens", len(d), digest(d), s) for s, d in PARTS.items())
    for text in texts:
        web.answers[f"/{text.name}"] = answers.body(PARTS[text.split])
    way = tuple(
        Download(web.url(f"/{text.name}"), text.bytes, f"sha256:{text.sha256}", (text.name,))
        for text in texts
    )
    return corpus_of(way, texts=texts, tokenize=("--tokenizer", "word", "--words", "whitespace"))


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- what charnn knows -------------------------------------------------------------------------


def test_the_registry_is_whole():
    assert len({one.name for one in PUBLIC_CORPORA}) == len(PUBLIC_CORPORA) >= 5
    assert {one.language for one in PUBLIC_CORPORA} >= {"English", "Chinese"}
    for one in PUBLIC_CORPORA:
        assert one.licence and one.licence_note and one.home.startswith("http")
        names = {text.name for text in one.texts}
        for text in one.texts:
            assert re.fullmatch("[0-9a-f]{64}", text.sha256) and text.bytes > 0
            assert Path(text.name).name == text.name
        assert len([text for text in one.texts if text.split == "train"]) == 1
        for way in one.ways:
            assert sorted(name for get in way for name in get.texts) == sorted(names)
            for get in way:
                assert get.url.startswith(("https://", "http://"))
                assert re.fullmatch("sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", get.hash)
                assert not get.members or len(get.members) == len(get.texts)


# --- fetching ----------------------------------------------------------------------------------


def test_a_text_is_fetched_and_known_again(web, tmp_path):
    web.answers["/fox"] = answers.body(DATA)
    corpus, target = corpus_of((plain(web.url("/fox")),)), tmp_path / "texts" / "fox.txt"
    assert not is_there(corpus, target)
    fetch(corpus, target)
    assert target.read_bytes() == DATA
    assert is_there(corpus, target)
    assert files_in(tmp_path) == ["texts", "texts/fox.txt"]
    (tmp_path / "other").touch()
    assert target.stat().st_mode == (tmp_path / "other").stat().st_mode
    target.write_bytes(DATA[:-1] + b"?")
    assert not is_there(corpus, target)


@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_archives_are_unpacked(web, tmp_path, kind):
    if kind == "zip":
        packed = zipped(other=b"x" * 10, **{"folder__fox": DATA})
        get = archived(web.url("/fox.zip"), packed, "folder/fox")
    else:
        packed = gzip.compress(DATA)
        md5 = f"md5:{hashlib.md5(packed).hexdigest()}"
        get = Download(web.url("/fox.gz"), len(packed), md5, ("fox.txt",))
    web.answers[f"/fox.{kind}"] = answers.body(packed)
    fetch(corpus_of((get,)), tmp_path / "mine")
    assert (tmp_path / "mine").read_bytes() == DATA
    assert files_in(tmp_path) == ["mine"]


def test_splits_become_a_folder(web, tmp_path):
    corpus = splits(web)
    fetch(corpus, tmp_path / "fox")
    assert is_there(corpus, tmp_path / "fox")
    assert files_in(tmp_path / "fox") == ["test.tokens", "train.tokens", "validation.tokens"]
    for split, data in PARTS.items():
        assert (tmp_path / "fox" / f"{split}.tokens").read_bytes() == data


def test_compressed_transfer_is_undone(web, tmp_path):
    packed = gzip.compress(DATA)
    length = str(len(packed))
    web.answers["/fox"] = answers.reply(200, packed, Content_Encoding="gzip", Content_Length=length)
    fetch(corpus_of((plain(web.url("/fox")),)), tmp_path / "fox.txt")
    assert (tmp_path / "fox.txt").read_bytes() == DATA


def test_chunks_and_a_few_redirects_are_followed(web, tmp_path):
    pieces = [DATA[n : n + 9999] for n in range(0, SIZE, 9999)]
    chunks = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    web.answers["/c"] = answers.raw(head, *chunks, b"0\r\n\r\n")
    web.answers["/b"] = answers.redirect(web.url("/c"))
    web.answers["/a"] = answers.redirect("b", b"moved")
    fetch(corpus_of((plain(web.url("/a")),)), tmp_path / "fox.txt")
    assert (tmp_path / "fox.txt").read_bytes() == DATA
    assert web.asked == ["/a", "/b", "/c"]


def test_what_came_is_told(web, tmp_path):
    web.answers["/fox"] = answers.body(DATA)
    came: list[int] = []
    hash = f"sha256:{digest(DATA)}"
    download(web.url("/fox"), tmp_path / "x", size=SIZE, hash=hash, timeout=30, advance=came.append)
    assert sum(came) == SIZE and len(came) > 1


LIES = {
    "not found": (answers.status(404), "it answered 404"),
    "broken": (answers.status(500), "it answered 500"),
    "part": (answers.reply(206, DATA), "it answered 206"),
    "truncated": (answers.body(DATA[:-7], SIZE), f"stopped after {SIZE - 7:,} of {SIZE:,} bytes"),
    "short": (answers.body(DATA[:-7]), f"stopped after {SIZE - 7:,} of"),
    "length too small": (answers.body(DATA, 100), "stopped after 100 of"),
    "length is no number": (answers.reply(200, b"", Content_Length="-1"), "stopped after 0 of"),
    "too long": (answers.body(DATA + b"x"), "sends more than"),
    "endless": (answers.endless(), "sends more than"),
    "changed": (answers.body(b"?" + DATA[1:]), "something else, by its SHA256"),
    "chunks end": (
        answers.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nonly"),
        "stopped after 4 of",
    ),
    "no chunks": (
        answers.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        "stopped after 0 of",
    ),
    "not HTTP": (answers.raw(b"\x00\x01\x02 nonsense\r\n\r\n"), "nonsense"),
    "nothing": (answers.raw(), ""),
    "bad gzip": (answers.reply(200, DATA, Content_Encoding="gzip"), ""),
    "gzip bomb": (
        answers.reply(200, gzip.compress(bytes(1 << 26)), Content_Encoding="gzip"),
        "sends more than",
    ),
    "file": (answers.redirect("file:///etc/passwd"), "file:///etc/passwd, which is not on the web"),
    "loop": (answers.redirect("/lie"), "sends us on and on"),
    "redirect with a body": (answers.endless(302, Location="/lie"), "sends us on and on"),
    "redirect to bytes": (
        answers.raw(b"HTTP/1.1 302 x\r\nLocation: http://\xff\xfe\x00[/\r\n\r\n"),
        "",
    ),
    "redirect to no host": (answers.redirect("http://"), ""),
    "redirect to no port": (answers.redirect("http://127.0.0.1:99999/"), ""),
    "endless header": (answers.raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 99999), ""),
    "stalls": (answers.stalling(DATA[:5000], SIZE), "nothing came for 0.4 seconds"),
    "silent": (answers.silent, "nothing came for 0.4 seconds"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_server_that_lies_leaves_nothing(web, tmp_path, lie):
    answer, reason = LIES[lie]
    web.answers["/lie"] = answer
    target = tmp_path / "texts" / "deep" / "fox.txt"
    with pytest.raises(FetchError) as caught:
        fetch(corpus_of((plain(web.url("/lie")),)), target, timeout=0.4)
    message = str(caught.value)
    assert reason in message and "\n" not in message
    assert web.url("/lie") in message and str(target) in message  # how to do it by hand
    assert files_in(tmp_path) == []


def test_a_trickle_is_a_stall(web, tmp_path):
    web.answers["/fox"] = answers.body(DATA)
    hours = iter(range(0, 10**9, 3600))
    with pytest.raises(FetchError, match="next to nothing came for 30 seconds"):
        download(
            web.url("/fox"),
            tmp_path / "x",
            size=SIZE,
            hash=f"sha256:{digest(DATA)}",
            timeout=30,
            clock=lambda: next(hours),
        )
    assert files_in(tmp_path) == []


def failure(url: str, target: Path) -> str:
    with pytest.raises(FetchError) as caught:
        fetch(corpus_of((plain(url),)), target, timeout=5)
    return str(caught.value)


def test_servers_that_are_not_there(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    message = failure(f"http://127.0.0.1:{port}/fox", tmp_path / "x")
    assert f"cannot fetch fox: Connection refused (127.0.0.1:{port}); to do it" in message
    message = failure("http://nowhere.invalid/fox", tmp_path / "x")
    assert "(nowhere.invalid); to do it" in message
    assert "HTTPConnectionPool" not in message
    assert files_in(tmp_path) == []


def test_tls_that_fails(web, tmp_path):
    web.answers["/fox"] = answers.body(DATA)
    message = failure(web.url("/fox").replace("http:", "https:"), tmp_path / "x")
    assert "SSL" in message and "HTTPSConnectionPool" not in message


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_a_certificate_that_nobody_vouches_for(web, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    kind = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost"
    subprocess.run(
        ["openssl", *kind.split(), "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    web.socket = context.wrap_socket(web.socket, server_side=True)
    message = failure(f"https://localhost:{web.server_port}/fox", tmp_path / "x")
    assert "its certificate is not to be trusted: self-signed certificate" in message
    assert web.asked == []


def test_mirrors_are_tried_in_order(web, tmp_path):
    packed = zipped(fox=DATA)
    web.answers |= {
        "/changed": answers.body(b"?" + DATA[1:]),
        "/good.zip": answers.body(packed),
        "/unused": answers.body(DATA),
    }
    ways = [
        (plain(web.url("/gone")),),
        (plain(web.url("/changed")),),
        (archived(web.url("/good.zip"), packed, "fox"),),
        (plain(web.url("/unused")),),
    ]
    fetch(corpus_of(*ways), tmp_path / "fox.txt")
    assert (tmp_path / "fox.txt").read_bytes() == DATA
    assert web.asked == ["/gone", "/changed", "/good.zip"]
    with pytest.raises(FetchError) as caught:
        fetch(corpus_of(*ways[:2]), tmp_path / "other.txt")
    assert "404" in str(caught.value) and "something else" in str(caught.value)


def test_one_split_that_is_missing_leaves_nothing(web, tmp_path):
    corpus = splits(web)
    web.answers["/test.tokens"] = answers.status(404)
    with pytest.raises(FetchError):
        fetch(corpus, tmp_path / "fox")
    assert files_in(tmp_path) == []


def test_an_archive_that_is_right_with_a_text_that_is_not(web, tmp_path):
    packed = zipped(fox=b"?" + DATA[1:])
    web.answers["/fox.zip"] = answers.body(packed)
    with pytest.raises(FetchError, match=r"fox\.txt is something else, by its SHA-256"):
        fetch(corpus_of((archived(web.url("/fox.zip"), packed, "fox"),)), tmp_path / "x")
    assert files_in(tmp_path) == []


# --- what is there already ---------------------------------------------------------------------


def test_what_is_there_gives_way_only_if_it_must(web, tmp_path):
    web.answers["/fox"] = answers.body(DATA)
    corpus, target = corpus_of((plain(web.url("/fox")),)), tmp_path / "fox.txt"
    target.write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        fetch(corpus, target)
    assert web.asked == [] and target.read_text() == "mine"
    fetch(corpus, target, force=True)
    assert target.read_bytes() == DATA
    os.mkfifo(tmp_path / "pipe")
    for force in (False, True):  # what is refused is not hinted at
        with pytest.raises(OutputError, match="something else; choose another place"):
            fetch(corpus, tmp_path / "pipe", force=force)
    with pytest.raises(OutputError, match="something else"):
        fetch(corpus, tmp_path, force=True)


def test_the_folder_where_one_stands_is_not_replaced(web, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (".", "", "x/.."):
        with pytest.raises(OutputError, match="name a folder in it"):
            fetch(splits(web), Path(name), force=True)
    assert web.asked == []


def test_what_cannot_be_had_leaves_no_folder_behind_a_link_either(web, tmp_path):
    (tmp_path / "link").symlink_to("no/deep/x")
    with pytest.raises(FetchError):
        fetch(corpus_of((plain(web.url("/gone")),)), tmp_path / "link")
    assert files_in(tmp_path) == ["link"]


def test_a_name_is_only_a_name(web, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    web.answers["/fox"] = answers.body(DATA)
    fetch(corpus_of((plain(web.url("/fox")),)), Path("~root/$HOME/*.txt"))
    assert files_in(tmp_path) == ["~root", "~root/$HOME", "~root/$HOME/*.txt"]


def test_a_fetch_that_fails_keeps_what_it_was_to_replace(web, tmp_path):
    target = tmp_path / "fox.txt"
    target.write_text("mine")
    with pytest.raises(FetchError):
        fetch(corpus_of((plain(web.url("/gone")),)), target, force=True)
    assert target.read_text() == "mine" and files_in(tmp_path) == ["fox.txt"]


def test_a_folder_with_more_in_it_is_never_replaced(web, tmp_path):
    corpus, target = splits(web), tmp_path / "fox"
    target.mkdir()
    fetch(corpus, target)  # an empty folder is nobody's
    (target / "test.tokens").write_text("broken")
    with pytest.raises(OutputError, match="--force"):
        fetch(corpus, target)
    fetch(corpus, target, force=True)
    assert is_there(corpus, target)
    (target / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="something else"):
        check_free(corpus, target, force=True)


# --- archives ----------------------------------------------------------------------------------


def unpacked(packed: bytes, folder: Path, member: str | None = "fox", size: int = SIZE) -> bytes:
    archive = folder / "archive"
    archive.write_bytes(packed)
    unpack(archive, member, folder / "out", size)
    return (folder / "out").read_bytes()


def test_members_go_where_we_say(tmp_path):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    for name in ("../../fox", "/fox", "..\\fox"):
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr(name, DATA)
        member = zipfile.ZipFile(made).namelist()[0]
        assert unpacked(made.getvalue(), inside, member) == DATA
    assert files_in(tmp_path) == ["a", "a/b", "a/b/archive", "a/b/out"]


def test_links_and_folders_are_no_texts(tmp_path):
    for mode in (stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO):
        info = zipfile.ZipInfo("fox")
        info.external_attr = (mode | 0o777) << 16
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr(info, "/etc/passwd")
        with pytest.raises(FetchError, match="fox in its archive is not a file"):
            unpacked(made.getvalue(), tmp_path, size=11)
    with pytest.raises(FetchError, match="has no wolf"):
        unpacked(zipped(fox=DATA), tmp_path, "wolf")


@pytest.mark.parametrize("packed", [zipped(fox=bytes(1 << 26)), gzip.compress(bytes(1 << 26))])
def test_a_bomb_stops_at_the_size_that_is_known(tmp_path, packed):
    member = "fox" if packed.startswith(b"PK") else None
    with pytest.raises(FetchError, match="holds more than the 3,000,000 bytes"):
        unpacked(packed, tmp_path, member, 3_000_000)
    assert (tmp_path / "out").stat().st_size <= 3_000_000


def test_an_archive_that_holds_less_is_refused(tmp_path):
    with pytest.raises(FetchError, match="of the"):
        unpacked(zipped(fox=DATA[:-1]), tmp_path)
    with pytest.raises(FetchError):
        unpacked(gzip.compress(DATA)[:-9], tmp_path, None)


SMALL = b"The fox. " * 20


@given(kind=st.sampled_from(["zip", "gz"]), changes=st.data())
def test_damaged_archives_give_the_text_or_a_reason(tmp_path_factory, kind, changes):
    packed = bytearray(zipped(fox=SMALL) if kind == "zip" else gzip.compress(SMALL))
    place = st.integers(0, len(packed) - 1)
    for _ in range(changes.draw(st.integers(1, 4))):
        packed[changes.draw(place)] = changes.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged", numbered=True)
    member = "fox" if kind == "zip" else None
    try:
        found = unpacked(bytes(packed), folder, member, len(SMALL))
    except FetchError:
        return
    assert len(found) == len(SMALL)


# --- the commands ------------------------------------------------------------------------------

DRIVER = """
import pickle, sys
import charnn.public.corpora as known
known.PUBLIC_CORPORA = (pickle.load(open(sys.argv.pop(1), "rb")),)
from charnn.__main__ import main
main()
"""


@pytest.fixture
def fetching(tmp_path_factory):
    """Starts the real program, but for its registry: that has one corpus."""

    def start(corpus: PublicCorpus, *arguments: str, cwd: Path, **options) -> subprocess.Popen:
        known = tmp_path_factory.mktemp("known") / "corpus"
        known.write_bytes(pickle.dumps(corpus))
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(known), "corpus", "fetch", *arguments],
            cwd=cwd,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    return start


def test_fetch_says_what_it_did_and_what_comes_next(web, tmp_path, fetching, program):
    corpus = splits(web)
    out, talk = fetching(corpus, "fox", "--json", cwd=tmp_path).communicate(timeout=60)
    record = json.loads(out)
    assert record["path"] == "texts/fox" and record["fetched"] is True
    assert record["bytes"] == sum(map(len, PARTS.values()))
    assert [Path(tmp_path / path).exists() for path in record["files"]] == [True] * 3
    assert b"\x1b" not in talk and web.url("/train.tokens").encode() in talk
    asked = len(web.asked)
    second = fetching(corpus, "fox", cwd=tmp_path)
    out, talk = second.communicate(timeout=60)
    assert (second.returncode, out) == (0, b"")
    assert b"texts/fox is there already" in talk and len(web.asked) == asked
    command = record["next"][0]
    assert command in talk.decode()
    assert "--validation texts/fox/validation.tokens --test texts/fox/test.tokens" in command
    assert program(*shlex.split(command)[1:], cwd=tmp_path).returncode == 0
    header = TokenizedCorpus.open(tmp_path / "corpora" / "fox").header
    assert {name: split.bytes for name, split in header.splits.items()} == {
        split: len(data) for split, data in PARTS.items()
    }


def test_errors_are_one_line(web, tmp_path, fetching):
    corpus = corpus_of((plain(web.url("/gone")),))
    process = fetching(corpus, "fox", "-q", cwd=tmp_path)
    out, talk = process.communicate(timeout=60)
    assert (process.returncode, out, talk.count(b"\n")) == (1, b"", 1)
    assert b"it answered 404 Not Found (127.0.0.1" in talk
    assert web.url("/gone").encode() in talk and b"texts/fox.txt" in talk
    assert files_in(tmp_path) == []


def test_a_full_disk_is_one_line(web, tmp_path, fetching):
    web.answers["/fox"] = answers.body(DATA)
    process = fetching(
        corpus_of((plain(web.url("/fox")),)),
        "fox",
        "-q",
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    _, talk = process.communicate(timeout=60)
    assert process.returncode == 1
    assert talk == b"charnn: cannot write text texts/fox.txt: File too large\n"
    assert files_in(tmp_path) == []


def test_a_place_that_takes_no_file_is_one_line(web, tmp_path):
    web.answers["/fox"] = answers.body(DATA)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write text"):
        fetch(corpus_of((plain(web.url("/fox")),)), tmp_path / "file" / "fox.txt")
    assert web.asked == []


def test_a_killed_fetch_is_not_taken_for_the_corpus(web, tmp_path, fetching):
    web.answers["/fox"] = answers.stalling(DATA[:70_000], SIZE)
    corpus, target = corpus_of((plain(web.url("/fox")),)), tmp_path / "texts" / "fox.txt"
    process = fetching(corpus, "fox", cwd=tmp_path)
    assert web.stalled.wait(60)
    process.kill()
    process.communicate(timeout=60)
    assert not target.exists() and not is_there(corpus, target)
    assert len(files_in(tmp_path)) > 1  # it could not tidy up
    web.answers["/fox"] = answers.body(DATA)
    fetch(corpus, target)
    assert files_in(tmp_path) == ["texts", "texts/fox.txt"]


def test_ctrl_c_leaves_nothing(web, tmp_path, fetching):
    web.answers["/fox"] = answers.stalling(DATA[:70_000], SIZE)
    process = fetching(corpus_of((plain(web.url("/fox")),)), "fox", "-q", cwd=tmp_path)
    assert web.stalled.wait(60)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 130
    assert files_in(tmp_path) == []


def test_a_terminal_shows_a_bar(web, tmp_path, fetching):
    web.answers["/fox"] = answers.stalling(DATA[:70_000], SIZE)
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = fetching(
        corpus_of((plain(web.url("/fox")),)), "fox", cwd=tmp_path, stderr=follower, env=environment
    )
    os.close(follower)
    shown = b""
    while b"kB" not in shown:
        assert select.select([leader], [], [], 60)[0]
        shown += os.read(leader, 4096)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    os.close(leader)
    assert b"fetching " in shown and b"\x1b[" in shown


def test_proxies_of_the_environment_are_used(web, tmp_path, program):
    url = "http://mattmahoney.net/dc/text8.zip"
    web.answers[url] = answers.body(b"not text8")
    proxy = web.url("")
    result = program(
        *("corpus", "fetch", "text8", "--timeout", "20"),
        cwd=tmp_path,
        http_proxy=proxy,
        https_proxy=proxy,
        no_proxy="",
    )
    assert web.asked[:2] == ["mattmahoney.net:443", url]
    assert result.returncode == 1 and files_in(tmp_path) == []
    last = result.stderr.decode().splitlines()[-1]
    assert "it stopped after 9 of 31,344,016 bytes (mattmahoney.net)" in last
    assert "fetch https://mattmahoney.net/dc/text8.zip, unpack text8" in last


def test_listing_uses_no_network(program, tmp_path):
    code = (
        "import socket, sys; sys.argv = ['charnn', 'corpus', 'list', '--json']\n"
        "socket.socket = socket.getaddrinfo = None\n"
        "from charnn.cli.app import run\n"
        "assert run() == 0\n"
        "bad = {'ssl', 'pooch', 'requests', 'urllib3', 'numpy', 'torch'}\n"
        "sys.exit(str(bad & set(sys.modules)) if bad & set(sys.modules) else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, b"")
    records = {r["name"]: r for r in map(json.loads, result.stdout.splitlines())}
    assert list(records) == [one.name for one in PUBLIC_CORPORA]
    shakespeare = records["tinyshakespeare"]
    assert shakespeare["bytes"] == 1_115_394
    assert shakespeare["files"][0]["sha256"].startswith("86c4e6aa")
    assert shakespeare["sources"][0][0]["url"].startswith("https://raw.githubusercontent.com/")
    assert records["text8"]["sources"][-1][0]["hash"] == "md5:68799af40b6bda07dfa47a32612e5364"
    assert records["wikitext-2"]["path"] == "texts/wikitext-2"


@pytest.mark.parametrize("width", [30, 40, 63, 64, 80, 200])
def test_the_list_fits(width):
    chinese = replace(PUBLIC_CORPORA[0], about="唐詩三百首的每一句都在這裡 " * 5)
    corpora = (*PUBLIC_CORPORA, chinese)
    text = listing(corpora, width)
    for line in text.splitlines():
        assert sum(2 if east_asian_width(c) in "WF" else 1 for c in line) <= width
    flat = re.sub(r"\s+", "", text)
    for one in corpora:
        assert one.name in text and re.sub(r"\s+", "", one.licence) in flat
    assert "…" not in text and "..." not in text
    if width in (40, 200):
        for one in corpora:
            for word in one.about.split():
                assert word in text


def test_a_pipe_gets_a_line_for_each(program, tmp_path):
    result = program("corpus", "list", "-q", cwd=tmp_path, COLUMNS="")
    lines = result.stdout.decode().splitlines()
    assert len(lines) == 1 + len(PUBLIC_CORPORA)
    for line, one in zip(lines[1:], PUBLIC_CORPORA, strict=True):
        assert line.startswith(one.name) and line.endswith(one.about)
    assert result.stderr == b""


def test_near_misses_are_told(program, tmp_path):
    result = program("corpus", "fetch", "TinyShakespear", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.decode().endswith("did you mean tinyshakespeare?\n")
    for typed, meant in {"wikitext2": "wikitext-2", "enwiki8": "enwik8", "Text8": "text8"}.items():
        with pytest.raises(UsageError, match=f"did you mean {meant}"):
            find(typed)
    with pytest.raises(UsageError, match="there are tinyshakespeare, "):
        find("zzz")


def test_where_things_are_put(tmp_path):
    one, several = find("text8"), find("wikitext-2")
    assert place(one, None) == Path("texts/text8.txt")
    assert place(one, tmp_path) == tmp_path / "text8.txt"
    assert place(one, tmp_path / "other") == tmp_path / "other"
    assert place(several, None) == Path("texts/wikitext-2")
    assert place(several, tmp_path) == tmp_path
    with pytest.raises(UsageError):
        place(one, Path("-"))
    assert next_commands(one, Path("my texts/text8.txt")) == ["charnn train 'my texts/text8.txt'"]
    assert by_hand(several, Path("w")).endswith(
        "fetch https://wikitext.smerity.com/wikitext-2-v1.zip, unpack wikitext-2/wiki.train.tokens "
        "and wikitext-2/wiki.valid.tokens and wikitext-2/wiki.test.tokens, and put it at "
        "w/wiki.train.tokens and w/wiki.valid.tokens and w/wiki.test.tokens"
    )
