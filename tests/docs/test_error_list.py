"""``docs/errors.md`` is what the source says, and every error says what to do."""

import re

from ncf import errors
from tests.docs.error_list import PAGE, page, sites


def test_the_page_of_errors_is_what_the_source_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.docs.error_list"


def test_the_page_shows_messages_and_no_source_code() -> None:
    code = re.compile(r"\{[a-z_.]+\}|\w\(|\w\[|\bself\b|\bNone\b|%s|__")
    # The documented columns of a triple and a type, as messages write them.
    allowed = ("(user,item)", "astype('Int64')", "onnxruntime-gpu[", "ncf[", "in [0, 1)")
    for site in sites():
        text = f"{site.problem}; {site.remedy}"
        for each in allowed:
            text = text.replace(each, "")
        assert not code.search(text), text


def test_every_error_that_a_command_prints_has_a_remedy() -> None:
    # A request's message says what to send; these two are told within an error with a remedy.
    without = {"RequestError", "SourceError", "ParityError"}
    assert [site for site in sites() if not site.remedy and site.name not in without] == []


def test_every_class_of_the_tree_is_raised_somewhere() -> None:
    found = {site.name for site in sites()}
    tree = {each.__name__ for each in errors.NcfError.__subclasses__()}
    assert found == tree
    assert len(sites()) > 120
