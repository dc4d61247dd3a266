"""The page as Gradio draws it: where images come from, the workbench, and what is known about the weights."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from utils.desk.sources import Part, SampleStrip
from utils.web.page.actions import PageActions
from utils.web.page.events import AT_ONCE, PageEvents, found, offered, plainly, with_number
from utils.web.page.uploads import Taken, Uploads
from utils.web.page.weights_text import TITLE, card, heading

HERE = Path(__file__).parent
SAMPLES_HINT = (
    "Strips drawn by the computer. Weights that know photographs of one mill may see nothing in them, or too much."
)
ORPHANS = (60, 600)  # every so many seconds, uploads that nobody took and that are older than so many are removed
_EVENT: dict[str, Any] = {"concurrency_limit": 4, "api_visibility": "private"}
QUICK: dict[str, Any] = {**_EVENT, "show_progress": "hidden"}
SLOW: dict[str, Any] = {**_EVENT, "show_progress": "minimal"}


def build(actions: PageActions, uploads: Uploads, coil: bool = False) -> gr.Blocks:
    """Make the page.

    Args:
        actions: what it does.
        uploads: takes what is sent.
        coil: the server shows the page of a coil too.
    """
    served, events = actions.inspectors.served.about, PageEvents(actions)
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=ORPHANS) as page:
        with gr.Row(elem_classes="top"):
            top = gr.HTML(heading(served), apply_default_css=False, scale=5, min_width=500)
            names = actions.inspectors.names
            weights = gr.Dropdown(names, value=names[0], label="Weights", scale=1, min_width=260, elem_id="weights")
        if coil:
            gr.HTML('<a href="coil/">Map of the coil</a>', apply_default_css=False, elem_id="coil")
        with gr.Tabs(elem_id="sources"):
            samples = _samples_tab(actions.samples)
            files = _upload_tab(uploads)
            folder = _folder_tab(actions.parts) if actions.parts else None
        bench = _workbench(uploads.most_bytes)
        with gr.Accordion("About these weights", open=False, elem_id="about"):
            about = gr.Markdown(card(served))

        page.load(plainly(events.begin), None, [bench, top], **SLOW)
        take_sample = plainly(events.take_sample)
        for number, button in enumerate(samples):
            of_this = number if number < len(actions.samples) else -1  # the last button is for all of them
            button.click(with_number(take_sample, of_this), None, bench, **SLOW)
        files.upload(plainly(events.take_uploads), files, [bench, files], **SLOW)
        _connect_workbench(bench, events)
        weights.select(plainly(events.use), weights, [bench, top, about, weights], **SLOW)
        page.unload(events.leave)
        if folder:
            _connect_folder(folder, bench, events)
    page.queue(default_concurrency_limit=4, max_size=256, api_open=False)
    return page


def _samples_tab(samples: Sequence[SampleStrip]) -> list[gr.Button]:
    """Make a button for each sample strip, and one for all of them."""
    with gr.Tab("Samples"):
        with gr.Row():
            buttons = [gr.Button(_title(sample.name), size="sm", min_width=90) for sample in samples]
            buttons.append(gr.Button("all samples", size="sm", min_width=90, variant="primary"))
        gr.HTML(SAMPLES_HINT, apply_default_css=False, elem_classes="hint")
    return buttons


def _upload_tab(uploads: Uploads) -> gr.File:
    """Make the field that takes files."""
    with gr.Tab("Upload", id="upload"):
        files = gr.File(
            label=f"Images: JPEG, PNG, BMP, TIFF or WebP, up to {uploads.most_files} at once. They stay in memory.",
            file_count="multiple",
            height=140,
            elem_id="files",
        )
        # Gradio's own way leaves an empty file behind for every upload, and forgets what files were called.
        files.preprocess = plainly(functools.partial(_take_files, uploads))  # type: ignore[method-assign]
    return files


class _Folder(NamedTuple):
    """The fields for going through the folder that was named at start."""

    part: gr.Dropdown
    words: gr.Textbox
    image: gr.Dropdown
    more: gr.Button
    matches: gr.HTML


def _folder_tab(parts: Sequence[Part]) -> _Folder:
    """Make the fields for going through a folder."""
    titles = [part.title for part in parts]
    with gr.Tab("Folder"), gr.Row(elem_classes="browse"):
        return _Folder(
            gr.Dropdown(titles, value=titles[0], label="Folder", type="index", min_width=160),
            gr.Textbox(label="Name contains", max_lines=1, elem_id="words", min_width=160),
            gr.Dropdown(offered(parts[0], ""), value=None, label="Image", elem_id="image", scale=2, min_width=200),
            gr.Button(f"inspect the next {AT_ONCE}", size="sm", elem_id="more", min_width=200),
            gr.HTML(found(parts[0], ""), apply_default_css=False, elem_id="found", min_width=160),
        )


def _workbench(most_bytes: int) -> gr.HTML:
    """Make the part that ``workbench.js`` draws: the images and what was found in them."""
    return gr.HTML(
        None,
        html_template=_read("workbench.html"),
        js_on_load=_read("workbench.js"),
        apply_default_css=False,
        elem_id="workbench",
        most_bytes=most_bytes,
    )


def _connect_workbench(bench: gr.HTML, events: PageEvents) -> None:
    """Let the workbench's own events change it."""
    bench.pick(plainly(events.pick), None, bench, trigger_mode="always_last", **QUICK)
    bench.decide(plainly(events.decide), None, bench, trigger_mode="always_last", **QUICK)
    bench.forget(plainly(events.forget), None, bench, **QUICK)


def _connect_folder(folder: _Folder, bench: gr.HTML, events: PageEvents) -> None:
    """Let the fields of the folder change each other and the workbench."""
    # Every change is sent, one after the other: of events that wait for each other the last may get lost.
    each = {**QUICK, "trigger_mode": "multiple", "concurrency_limit": 1, "concurrency_id": "search"}
    for changed in (folder.part.input, folder.words.change):
        changed(plainly(events.search), [folder.part, folder.words], [folder.image, folder.matches], **each)
    folder.image.select(plainly(events.open), [folder.part, folder.image], bench, **SLOW)
    folder.more.click(plainly(events.go_on), [folder.part, folder.words], [bench, folder.more], **SLOW)


def _take_files(uploads: Uploads, payload: Any) -> Taken | None:
    """Take what the field of files holds; the names are shown, and never used as paths."""
    sent = [
        (one.path, ((one.orig_name or Path(one.path).name).replace("\\", "/").rpartition("/")[2] or "image")[:200])
        for one in getattr(payload, "root", payload) or ()
    ]
    return uploads.take(sent) if sent else None


def _read(name: str) -> str:
    return (HERE / name).read_text("utf-8")


def _title(sample: str) -> str:
    return sample.rpartition(".")[0].partition("-")[2].partition("-")[2].replace("-", " and ")
