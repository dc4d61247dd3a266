"""Whatever fails takes one line of the log."""

import pytest

from utils.inspection.failures import one_line, plain


def deep(number: int) -> None:
    if number:
        deep(number - 1)
    raise ValueError("first\nsecond\r\x1b[31m red\u2028 end" + "x" * 1000)


def test_an_error_is_one_short_line_that_names_its_places():
    with pytest.raises(ValueError, match="first") as raised:
        deep(50)
    for error in (raised.value, ExceptionGroup("several", [raised.value])):
        line = one_line(error)
        assert line.isprintable()
        assert len(line) < 600
        assert line.startswith("ValueError: first second [31m red endxxx")
        assert "(test_failures.py:11 deep < test_failures.py:10 deep < " in line


def test_an_error_that_was_never_raised_has_no_places():
    assert one_line(KeyError("a")) == "KeyError: 'a'"


@pytest.mark.parametrize(("text", "shown"), [("a\nb", "a b"), ("", ""), ("\x00\x1b", ""), ("a" * 999, "a" * 200)])
def test_text_that_somebody_sent_obeys_no_terminal(text, shown):
    assert plain(text) == shown
