"""The page that shows a run: whole, safe, and good in a browser."""

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import make_corpus, random_weights
from inspecting import random_model, save_model

from charnn.architecture import ModelConfig, NgramConfig
from charnn.cli.page import Painted, Picture, Prose, Quote, Section, Table, render
from charnn.cli.report.sections import Subject, _samples, _surprise, sections
from charnn.text.config import TokenizerConfig
from charnn.training.counting import count

HOSTILE = "</div><script>alert(1)</script><img src=x onerror=alert(2)>&amp; \"'"
PAGE_CSS = Path(__file__).parent.parent / "charnn" / "cli" / "page" / "page.css"


class Elements(HTMLParser):
    """The elements of a page, and the text outside of style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._style = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._style = tag == "style"

    def handle_endtag(self, tag):
        self._style = False

    def handle_data(self, data):
        self.text += "" if self._style else data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.mark.parametrize(
    "item",
    [
        Prose(HOSTILE),
        Quote(HOSTILE, HOSTILE),
        Table(HOSTILE, (HOSTILE,), ((HOSTILE, HOSTILE),)),
        Picture(HOSTILE, HOSTILE, b"<svg/>", b"<svg/>"),
        Painted(HOSTILE, [(HOSTILE, 0), (HOSTILE, 2)], [HOSTILE, "", ""]),
    ],
    ids=lambda item: item.kind,
)
def test_what_html_would_obey_is_text(item):
    page = Elements(render(HOSTILE, {HOSTILE: HOSTILE}, [Section("one", HOSTILE, [item])]))
    assert not page.of("script")
    assert [image["src"][:5] for image in page.of("img")] == ["data:"] * (item.kind == "picture")
    assert not any(name.startswith("on") for _, attributes in page.found for name in attributes)
    assert page.text.count(HOSTILE) >= 4


@pytest.fixture
def of_bytes(tmp_path):
    """What is told of a model of bytes, which may begin within a character, and write anything."""
    corpus = make_corpus(tmp_path, "狐" * 2000 + "\x1b", TokenizerConfig(tokenizer="byte"))
    config = ModelConfig(layers=1, hidden=4, embedding=2)
    weights = random_weights(config, corpus.header.vocabulary)
    return Subject.open(save_model(tmp_path, corpus, config, weights), "\udcff狐", 1)


@pytest.mark.parametrize("items", [_samples, _surprise])
def test_text_that_is_no_utf8_can_be_written(of_bytes, items):
    page = render("", {}, [Section("one", "", list(items(of_bytes)))])
    assert "狐" in page
    assert "�" in page
    assert re.search(r"[\x00-\x08\x0b-\x1f]", page) is None
    page.encode()


def test_what_of_the_prompt_the_model_does_not_know_is_told(tmp_path, capsys):
    random_model(tmp_path, "The fox saw the moon.\n" * 40)
    list(_samples(Subject.open(tmp_path / "checkpoints" / "planted", "The 狐", 1)))
    assert "1 unknown, the first U+72D0" in capsys.readouterr().err


@pytest.fixture(scope="module")
def report(program, workplace, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("report") / "page.html"
    done = program("report", "-o", str(file), "-p", "The <b>", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    return file


def test_the_page_stands_on_its_own(report):
    page = Elements(report.read_text(encoding="utf-8"))
    assert not page.of("script")
    assert not page.of("link")
    addresses = [
        value
        for _, attributes in page.found
        for name, value in attributes.items()
        if name in ("src", "srcset", "href")
    ]
    assert addresses
    assert all(address.startswith(("data:image/svg+xml;base64,", "#")) for address in addresses)
    assert "url(" not in report.read_text(encoding="utf-8")


def test_all_sections_are_there_and_the_contents_lead_to_them(report):
    page = Elements(report.read_text(encoding="utf-8"))
    names = [section["id"] for section in page.of("section")]
    assert names == [
        "learning", "samples", "surprise", "gates", "gradients", "memory", "baselines", "settings",
    ]  # fmt: skip
    links = [link["href"] for link in page.of("a")]
    assert links == ["#content", *(f"#{name}" for name in names)]
    assert "The <b>" in page.text
    assert all(image["alt"] for image in page.of("img"))


def titles(folder) -> list[str]:
    return [section.name for section in sections(Subject.open(folder, "", 1))]


def test_of_a_model_that_counts_nothing_inside_is_shown(tmp_path):
    corpus = make_corpus(tmp_path, "The fox saw the moon.\n" * 400)
    run = count(corpus, NgramConfig(order=3), tmp_path / "checkpoints", "counts").run
    assert titles(run) == ["samples", "surprise", "memory", "baselines", "settings"]


def test_without_its_corpus_what_needs_text_is_left_out(tmp_path, capsys):
    random_model(tmp_path, "The fox saw the moon.\n" * 40)
    shutil.rmtree(tmp_path / "corpora")
    assert titles(tmp_path / "checkpoints" / "planted") == ["samples", "settings"]
    assert "without held-out text" in capsys.readouterr().err


def test_a_page_that_is_there_is_kept(program, workplace, tmp_path):
    file = tmp_path / "page.html"
    file.write_text("mine")
    done = program("report", "-o", str(file), cwd=workplace)
    assert (done.returncode, file.read_text()) == (1, "mine")
    assert done.stderr.startswith(b"charnn: ")
    assert b"--force" in done.stderr


def contrast(one: str, other: str) -> float:
    """Of two colours: WCAG 2.2, "contrast ratio"."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_can_be_read(scheme):
    light, dark = PAGE_CSS.read_text().split("@media screen and (prefers-color-scheme: dark)")
    colours = dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6})", light))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6})", dark))
    pairs = [(ink, ground) for ink in ("ink", "soft", "link") for ground in ("page", "panel")]
    pairs += [("ink", f"level{n}") for n in (1, 2, 3)]
    least = {f"{ink} on {ground}": contrast(colours[ink], colours[ground]) for ink, ground in pairs}
    for n in (4, 5):
        least[f"level {n}"] = contrast(colours.get(f"on{n}", "#111111"), colours[f"level{n}"])
    assert min(least.values()) >= 4.5, least


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("no browser: Debian's chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Where tests run as root, Chromium has no sandbox; it opens nothing but our own page.
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("width", [400, 1100])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser_it_fits_and_follows_the_reader(browser, report, width, scheme):
    asked, complaints = [], []
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=True
    )
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(report.as_uri())
    assert complaints == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    light = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (light == "rgb(255, 255, 255)") == (scheme == "light")
    # The pictures follow, and are whole.
    shown = page.evaluate(
        "[...document.images].map(i => [i.complete, i.naturalWidth, i.currentSrc])"
    )
    assert shown
    assert all(complete and size > 0 for complete, size, _ in shown)
    source = page.evaluate("document.querySelector('source').srcset")
    assert (shown[0][2] == source) == (scheme == "dark")
    context.close()


def test_by_keyboard_the_first_stop_skips_to_the_content(browser, report):
    page = browser.new_page()
    page.goto(report.as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.close()


def test_to_a_screen_reader_it_has_a_title_landmarks_and_headings_in_order(browser, report):
    page = browser.new_page()
    page.goto(report.as_uri())
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("navigation", name="Sections").count() == 1
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    assert page.get_by_role("region", name="How it was made").count() == 1
    page.close()


def test_on_paper_it_is_dark_on_light_whatever_the_screen_is(browser, report):
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(report.as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    ink = page.evaluate("getComputedStyle(document.documentElement).color")
    assert ink == "rgb(26, 26, 26)"
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert page.pdf().startswith(b"%PDF")
    context.close()
