"""The page as Gradio draws it: where images come from, the workbench, and what is known about the weights."""

import functools
import html
import inspect as introspection
import logging
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from utils.errors import InputError
from utils.web.about import About
from utils.web.page.actions import PageActions
from utils.web.page.description import describe
from utils.web.page.sources import Part, Source
from utils.web.page.uploads import Taken, Uploads
from utils.web.page.visit import Visit

TITLE = "Inspector of flat steel"
HERE = Path(__file__).parent
SAMPLES_HINT = (
    "Strips drawn by the computer. Weights that know photographs of one mill may see nothing in them, or too much."
)
MOST_LISTED = 200  # names of a folder that a list offers; more are found by typing a part of the name
AT_ONCE = 24  # images of a folder that one press of the button inspects
ORPHANS = (60, 600)  # every so many seconds, uploads that nobody took and that are older than so many are removed

log = logging.getLogger(__name__)


def build(actions: PageActions, uploads: Uploads) -> gr.Blocks:
    """Make the page.

    Args:
        actions: what it does.
        uploads: takes what is sent.
    """
    served = actions.inspectors.served.about
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=ORPHANS) as page:
        with gr.Row(elem_classes="top"):
            heading = gr.HTML(_heading(served), apply_default_css=False, scale=5, min_width=500)
            names = actions.inspectors.names
            weights = gr.Dropdown(names, value=names[0], label="Weights", scale=1, min_width=260, elem_id="weights")
        with gr.Tabs(elem_id="sources"):
            with gr.Tab("Samples"):
                with gr.Row():
                    samples = [gr.Button(_title(sample.name), size="sm", min_width=90) for sample in actions.samples]
                    every_sample = gr.Button("all samples", size="sm", min_width=90, variant="primary")
                gr.HTML(SAMPLES_HINT, apply_default_css=False, elem_classes="hint")
            with gr.Tab("Upload", id="upload"):
                files = gr.File(
                    label=f"Images: JPEG, PNG, BMP or TIFF, up to {uploads.most_files} at once. They stay in memory.",
                    file_count="multiple",
                    height=140,
                    elem_id="files",
                )
                # Gradio's own way leaves an empty file behind for every upload, and forgets what files were called.
                files.preprocess = _plainly(functools.partial(_take_files, uploads))  # type: ignore[method-assign]
            if actions.parts:
                with gr.Tab("Folder"), gr.Row(elem_classes="browse"):
                    titles = [part.title for part in actions.parts]
                    part = gr.Dropdown(titles, value=titles[0], label="Folder", type="index", min_width=160)
                    words = gr.Textbox(label="Name contains", max_lines=1, elem_id="words", min_width=160)
                    image = gr.Dropdown(
                        _offered(actions.parts[0], ""),
                        value=None,
                        label="Image",
                        elem_id="image",
                        scale=2,
                        min_width=200,
                    )
                    more = gr.Button(f"inspect the next {AT_ONCE}", size="sm", elem_id="more", min_width=200)
                    found = gr.HTML(
                        _found(actions.parts[0], ""), apply_default_css=False, elem_id="found", min_width=160
                    )
        bench = gr.HTML(
            None,
            html_template=_read("workbench.html"),
            js_on_load=_read("workbench.js"),
            apply_default_css=False,
            elem_id="workbench",
            most_bytes=uploads.most_bytes,
        )
        with gr.Accordion("About these weights", open=False, elem_id="about"):
            card = gr.Markdown(_card(served, actions))

        def shown(visit: Visit) -> dict[str, Any]:
            return describe(actions, visit)

        def steps(visit: Visit, work: Iterator[None]) -> Iterator[dict[str, Any]]:
            return _steps(actions, visit, work)

        @_plainly
        def begin(request: gr.Request) -> Iterator[Any]:
            visit = actions.visits.of(_session(request))
            for value in steps(visit, actions.inspect(visit, [] if visit.images else actions.samples)):
                # What runs the network is known once it has seen an image.
                yield value, _heading(actions.inspector(visit).about)

        @_plainly
        def take_sample(number: int, request: gr.Request) -> Iterator[dict[str, Any]]:
            visit = actions.visits.of(_session(request))
            chosen: list[Source] = list(actions.samples if number < 0 else actions.samples[number : number + 1])
            yield from steps(visit, actions.inspect(visit, chosen))

        @_plainly
        def take_uploads(sent: Taken | None, request: gr.Request) -> Iterator[Any]:
            if sent is None:
                yield gr.skip(), gr.skip()
                return
            visit = actions.visits.of(_session(request))
            taken = len(sent.images)
            if sent.files > taken:
                gr.Warning(f"{sent.files} files came, the first {taken} are inspected; send the rest after them.")
            for value in steps(visit, actions.inspect(visit, sent.images)):
                yield value, None

        @_plainly
        def pick(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
            visit = actions.visits.of(_session(request))
            actions.show(visit, _sent(event).get("key"))
            return shown(visit)

        @_plainly
        def decide(event: gr.EventData, request: gr.Request) -> dict[str, Any]:
            visit, sent = actions.visits.of(_session(request)), _sent(event)
            actions.decide(visit, sent.get("thresholds"), everywhere=sent.get("all") is True)
            return shown(visit)

        @_plainly
        def forget(request: gr.Request) -> dict[str, Any]:
            visit = actions.visits.of(_session(request))
            actions.clear(visit)
            return shown(visit)

        @_plainly
        def use(name: str, request: gr.Request) -> Iterator[Any]:
            visit = actions.visits.of(_session(request))
            try:
                for value in steps(visit, actions.use(visit, name)):
                    about = actions.inspector(visit).about
                    yield value, _heading(about), _card(about, actions), gr.skip()
            except InputError as error:  # the list goes back to what is in use
                gr.Warning(html.escape(str(error)))
                yield gr.skip(), gr.skip(), gr.skip(), visit.weights

        def leave(request: gr.Request) -> None:
            actions.visits.leave(_session(request))

        quick: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": 4, "api_visibility": "private"}
        slow: dict[str, Any] = {"show_progress": "minimal", "concurrency_limit": 4, "api_visibility": "private"}
        page.load(begin, None, [bench, heading], **slow)
        for number, button in enumerate([*samples, every_sample]):
            of_this = number if number < len(samples) else -1
            button.click(_with(take_sample, of_this), None, bench, **slow)
        files.upload(take_uploads, files, [bench, files], **slow)
        bench.pick(pick, None, bench, trigger_mode="always_last", **quick)
        bench.decide(decide, None, bench, trigger_mode="always_last", **quick)
        bench.forget(forget, None, bench, **quick)
        weights.select(use, weights, [bench, heading, card, weights], **slow)
        page.unload(leave)
        if actions.parts:
            browse = _Browsing(actions)
            # Every change is sent, one after the other: of events that wait for each other the last may get lost.
            each = {**quick, "trigger_mode": "multiple", "concurrency_limit": 1, "concurrency_id": "search"}
            for changed in (part.input, words.change):
                changed(_plainly(browse.search), [part, words], [image, found], **each)
            image.select(_plainly(browse.open), [part, image], bench, **slow)
            more.click(_plainly(browse.go_on), [part, words], [bench, more], **slow)
    page.queue(default_concurrency_limit=4, max_size=256, api_open=False)
    return page


class _Browsing:
    """Going through the folder that was named at start."""

    def __init__(self, actions: PageActions) -> None:
        self.actions = actions

    def search(self, part: int, words: str) -> Any:
        """Offer the names that hold what was typed."""
        chosen = self.actions.parts[part]
        return gr.update(choices=_offered(chosen, words), value=None), _found(chosen, words)

    def open(self, part: int, name: str | None, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Inspect one image."""
        visit = self.actions.visits.of(_session(request))
        images = self.actions.parts[part].images([name] if name else [])
        yield from _steps(self.actions, visit, self.actions.inspect(visit, images))

    def go_on(self, part: int, words: str, request: gr.Request) -> Iterator[Any]:
        """Inspect the next images of those that match."""
        visit, chosen = self.actions.visits.of(_session(request)), self.actions.parts[part]
        names = chosen.matching(words)
        if (visit.part, visit.words) != (part, words) or visit.position >= len(names):
            visit.part, visit.words, visit.position = part, words, 0
        images = chosen.images(names[visit.position : visit.position + AT_ONCE])
        visit.position += len(images)
        left = len(names) - visit.position
        label = f"inspect the next {min(AT_ONCE, left)} ({left} left)" if left else "inspect from the first again"
        if not images:
            raise InputError("no name contains this; type another part of the name")
        for value in _steps(self.actions, visit, self.actions.inspect(visit, images)):
            yield value, label


def _steps(actions: PageActions, visit: Visit, work: Iterator[None]) -> Iterator[dict[str, Any]]:
    """Report after each portion what is new, so that the first images are seen while others are inspected."""
    told = False
    for _ in work:
        told = True
        yield describe(actions, visit)
    if not told:
        yield describe(actions, visit)


def _plainly(action: Callable[..., Any]) -> Callable[..., Any]:
    """Describe in one sentence what went wrong: bad input as it is, anything else with a number that the log knows."""

    def complaint(error: Exception) -> gr.Error:
        if isinstance(error, InputError):
            return gr.Error(html.escape(str(error)), title="This does not work", print_exception=False)
        number = secrets.token_hex(4)
        log.error("page error %s", number, exc_info=error)
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


def _with(action: Callable[..., Any], number: int) -> Callable[..., Any]:
    def of_number(request: gr.Request) -> Iterator[Any]:
        yield from action(number, request)

    return of_number


def _take_files(uploads: Uploads, payload: Any) -> Taken | None:
    """Take what the field of files holds; the names are shown, and never used as paths."""
    sent = [
        (one.path, ((one.orig_name or Path(one.path).name).replace("\\", "/").rpartition("/")[2] or "image")[:200])
        for one in getattr(payload, "root", payload) or ()
    ]
    return uploads.take(sent) if sent else None


def _session(request: gr.Request) -> str:
    if not request.session_hash:
        raise InputError("no session; load the page again")
    return request.session_hash


def _sent(event: gr.EventData) -> dict[str, Any]:
    """Return what a browser sent with an event; it may be anything."""
    return event._data if isinstance(event._data, dict) else {}


def _read(name: str) -> str:
    return (HERE / name).read_text("utf-8")


def _title(sample: str) -> str:
    return sample.rpartition(".")[0].partition("-")[2].partition("-")[2].replace("-", " and ")


def _offered(part: Part, words: str) -> list[str]:
    return part.matching(words)[:MOST_LISTED]


def _found(part: Part, words: str) -> str:
    count = len(part.matching(words))
    listed = f"; the first {MOST_LISTED} are listed" if count > MOST_LISTED else ""
    return f"{count:,} image{'' if count == 1 else 's'}{listed}"


def _heading(about: About) -> str:
    classes = ", ".join(about.class_names or about.label_names)
    rows = [
        f"<strong>{html.escape(about.name)}</strong> ({about.kind})",
        html.escape(classes),
        html.escape(about.backend),
    ]
    return f"<h1>{TITLE}</h1><p>{' &middot; '.join(rows)}</p>"


def _card(about: About, actions: PageActions) -> str:
    """Return the card of the weights, or what is known without one, as Markdown."""
    lines = [f"File `{about.file}`, run by {about.backend}.", ""]
    if about.class_names:
        heads = "class", "probability from", "somewhere in a defect from", "smallest area, px", "largest area, px"
        lines += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        limits = zip(about.thresholds, about.high_thresholds, about.min_areas, about.max_areas, strict=True)
        lines += [
            f"| {name} | {t:g} | {high or '-'} | {low} | {'-' if most is None else most} |"
            for name, (t, high, low, most) in zip(about.class_names, limits, strict=True)
        ]
    if about.label_names:
        lines += ["", "| label of the whole image | probability from |", "|---|---|"]
        lines += [f"| {name} | {t:g} |" for name, t in zip(about.label_names, about.label_thresholds, strict=True)]
    lines += ["", *_scores(about.scores)]
    if about.card:
        lines += ["", "---", "", about.card]
    return "\n".join(lines)


def _scores(scores: dict[str, Any]) -> list[str]:
    """Format scores: plain ones, or those of each set of images that they were measured on."""
    groups = {name: part for name, part in scores.items() if isinstance(part, dict) and "mean_dice" in part}
    if "mean_dice" in scores:
        groups = {str(scores.get("data", "validation")): scores, **groups}
    if not groups:
        return ["No scores are known of them: `Evaluate.py` measures them on labelled images."]
    wanted = {"mean_dice": "mean Dice", "empty_baseline": "empty baseline", "defect_dice": "defect Dice", "iou": "IoU"}
    lines = [f"| measured on | images | {' | '.join(wanted.values())} |", "|---|---|---|---|---|---|"]
    for name, part in groups.items():
        figures = [f"{part[key]:.4f}" if isinstance(part.get(key), float) else "-" for key in wanted]
        lines.append(f"| {part.get('data', name)} | {part.get('images', '-')} | {' | '.join(figures)} |")
    return lines
