"""What the page's buttons, fields and workbench do when somebody uses them, in Gradio's terms."""

import functools
import html
import inspect as introspection
import logging
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from utils.desk.sources import Part, Source
from utils.errors import InputError
from utils.inspection.failures import one_line
from utils.web.page.actions import PageActions
from utils.web.page.description import describe
from utils.web.page.uploads import Taken
from utils.web.page.visit import Visit
from utils.web.page.weights_text import card, heading

MOST_LISTED = 200  # names of a folder that a list offers; more are found by typing a part of the name
AT_ONCE = 24  # images of a folder that one press of the button inspects

log = logging.getLogger(__name__)


class PageEvents:
    """Events of the whole page; each returns new values of what it is connected to.

    Args:
        actions: what the page does.
    """

    def __init__(self, actions: PageActions) -> None:
        self.actions = actions

    def begin(self, request: gr.Request) -> Iterator[Any]:
        """Show the samples to somebody who comes, or what was there to somebody who comes back."""
        visit = self._visit(request)
        for value in self._steps(visit, self.actions.inspect(visit, [] if visit.images else self.actions.samples)):
            # What runs the network is known once it has seen an image.
            yield value, heading(self.actions.inspector(visit).about)

    def take_sample(self, number: int, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Inspect a sample strip, all of them for a negative number."""
        visit, samples = self._visit(request), self.actions.samples
        chosen: list[Source] = list(samples if number < 0 else samples[number : number + 1])
        yield from self._steps(visit, self.actions.inspect(visit, chosen))

    def take_uploads(self, sent: Taken | None, request: gr.Request) -> Iterator[Any]:
        """Inspect what was uploaded."""
        if sent is None:
            yield gr.skip(), gr.skip()
            return
        visit = self._visit(request)
        taken = len(sent.images)
        if sent.files > taken:
            gr.Warning(f"{sent.files} files came, the first {taken} are inspected; send the rest after them.")
        for value in self._steps(visit, self.actions.inspect(visit, sent.images)):
            yield value, None

    def pick(self, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """Show another image."""
        visit = self._visit(request)
        self.actions.show(visit, _sent(event).get("key"))
        return describe(self.actions, visit)

    def decide(self, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        """Take other thresholds."""
        visit, sent = self._visit(request), _sent(event)
        self.actions.decide(visit, sent.get("thresholds"), everywhere=sent.get("all") is True)
        return describe(self.actions, visit)

    def forget(self, request: gr.Request) -> dict[str, Any]:
        """Forget all images of the visit."""
        visit = self._visit(request)
        self.actions.clear(visit)
        return describe(self.actions, visit)

    def use(self, name: str, request: gr.Request) -> Iterator[Any]:
        """Use other weights."""
        visit = self._visit(request)
        try:
            for value in self._steps(visit, self.actions.use(visit, name)):
                about = self.actions.inspector(visit).about
                yield value, heading(about), card(about), gr.skip()
        except InputError as error:  # the list goes back to what is in use
            gr.Warning(html.escape(str(error)))
            yield gr.skip(), gr.skip(), gr.skip(), visit.weights

    def leave(self, request: gr.Request) -> None:
        """Note that somebody has closed the page."""
        self.actions.visits.leave(_session(request))

    def search(self, part: int, words: str) -> Any:
        """Offer the names of a folder that hold what was typed."""
        chosen = self.actions.parts[part]
        return gr.update(choices=offered(chosen, words), value=None), found(chosen, words)

    def open(self, part: int, name: str | None, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Inspect one image of a folder."""
        visit = self._visit(request)
        images = self.actions.parts[part].images([name] if name else [])
        yield from self._steps(visit, self.actions.inspect(visit, images))

    def go_on(self, part: int, words: str, request: gr.Request) -> Iterator[Any]:
        """Inspect the next images of those in a folder that match."""
        visit, chosen = self._visit(request), self.actions.parts[part]
        names = chosen.matching(words)
        if (visit.part, visit.words) != (part, words) or visit.position >= len(names):
            visit.part, visit.words, visit.position = part, words, 0
        images = chosen.images(names[visit.position : visit.position + AT_ONCE])
        visit.position += len(images)
        left = len(names) - visit.position
        label = f"inspect the next {min(AT_ONCE, left)} ({left} left)" if left else "inspect from the first again"
        if not images:
            raise InputError("no name contains this; type another part of the name")
        for value in self._steps(visit, self.actions.inspect(visit, images)):
            yield value, label

    def _visit(self, request: gr.Request) -> Visit:
        return self.actions.visits.of(_session(request))

    def _steps(self, visit: Visit, work: Iterator[None]) -> Iterator[dict[str, Any]]:
        """Report after each portion what is new, so that the first images are seen while others are inspected."""
        told = False
        for _ in work:
            told = True
            yield describe(self.actions, visit)
        if not told:
            yield describe(self.actions, visit)


def offered(part: Part, words: str) -> list[str]:
    """Return the names that the list of a folder offers."""
    return part.matching(words)[:MOST_LISTED]


def found(part: Part, words: str) -> str:
    """Return in words how many images of a folder match."""
    count = len(part.matching(words))
    listed = f"; the first {MOST_LISTED} are listed" if count > MOST_LISTED else ""
    return f"{count:,} image{'' if count == 1 else 's'}{listed}"


def plainly(action: Callable[..., Any]) -> Callable[..., Any]:
    """Describe in one sentence what went wrong: bad input as it is, anything else with a number that the log knows."""

    def complaint(error: Exception) -> gr.Error:
        if isinstance(error, InputError):
            return gr.Error(html.escape(str(error)), title="This does not work", print_exception=False)
        number = secrets.token_hex(4)
        log.error("page error %s: %s", number, one_line(error))
        return gr.Error(
            f"Something went wrong. Number {number} in the server's log says what.",
            title="Error",
            print_exception=False,
        )

    if introspection.isgeneratorfunction(action):

        @functools.wraps(action)
        def run_steps(*words: Any, **named: Any) -> Iterator[Any]:
            try:
                yield from action(*words, **named)
            except Exception as error:
                raise complaint(error) from None

        return run_steps

    @functools.wraps(action)
    def run(*words: Any, **named: Any) -> Any:
        try:
            return action(*words, **named)
        except Exception as error:
            raise complaint(error) from None

    return run


def with_number(action: Callable[..., Any], number: int) -> Callable[..., Any]:
    """Return an event that needs no value of a field but has a number."""

    def of_number(request: gr.Request) -> Iterator[Any]:
        yield from action(number, request)

    return of_number


def _session(request: gr.Request) -> str:
    if not request.session_hash:
        raise InputError("no session; load the page again")
    return request.session_hash


def _sent(event: gr.EventData) -> dict[str, Any]:
    """Return what a browser sent with an event; it may be anything."""
    return event._data if isinstance(event._data, dict) else {}
