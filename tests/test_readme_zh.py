"""README.zh-CN.md says what README.md says."""

import re
from collections import Counter

import pytest
from readme import ROOT, Readme, numbers, without_comment

ENGLISH = Readme.read(ROOT / "README.md")
CHINESE = Readme.read(ROOT / "README.zh-CN.md")
NAME = re.compile(r"\[.*?\]|\w*[./_][\w./]*", re.A)  # of a file or a tensor, or a shape


def test_both_have_the_same_commands():
    assert len(ENGLISH.commands) > 60
    assert CHINESE.commands == ENGLISH.commands


def test_blocks_of_code_differ_in_comments_and_translated_prose_alone():
    for lines in zip(ENGLISH.code, CHINESE.code, strict=True):
        english, chinese = map(without_comment, lines)
        if re.search(r"[\u4e00-\u9fff]", chinese):  # what a checkpoint's files are
            assert NAME.findall(chinese) == NAME.findall(english)
        else:
            assert chinese == english


def test_both_name_the_same_options_commands_and_places():
    assert {"charnn train --dry-run", "--freeze embedding"} < set(ENGLISH.spans)
    assert Counter(CHINESE.spans) == Counter(ENGLISH.spans)


def test_both_have_the_same_headings():
    assert len(ENGLISH.headings) > 12
    assert CHINESE.headings == ENGLISH.headings


def test_tables_have_the_same_numbers_in_the_same_places():
    cells = [
        [[numbers(cell) for cell in re.split(r"(?<!\\)\|", row)] for row in one.rows]
        for one in (ENGLISH, CHINESE)
    ]
    assert len(cells[0]) > 100
    for english, chinese in zip(*cells, strict=True):
        assert chinese == english


def test_sections_have_the_same_numbers_in_some_order():
    for english, chinese in zip(ENGLISH.sections, CHINESE.sections, strict=True):
        assert Counter(numbers(chinese)) == Counter(numbers(english)), english.splitlines()[0]


@pytest.mark.parametrize(
    ("readme", "other"), [(ENGLISH, "README.zh-CN.md"), (CHINESE, "README.md")]
)
def test_links_lead_somewhere(readme, other):
    assert f"]({other})" in readme.prose.splitlines()[2]
    for link in readme.links:
        assert "://" in link or (ROOT / link.split("#")[0]).exists(), link
