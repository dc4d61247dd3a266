"""What the page does when somebody does something: inspects, decides anew, shows; no Gradio in here.

Every action takes a visit, changes it under its lock, and leaves it to ``description`` what a browser is to see.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from utils.desk.sources import Part, SampleStrip, Source, Uploaded
from utils.errors import InputError
from utils.inference.inspected import Inspected, Refused
from utils.inspection.about import About
from utils.inspection.choosing import Inspectors
from utils.inspection.inspector import Inspector
from utils.inspection.redeciding import redecide
from utils.inspection.upload import Upload
from utils.web.page.drawing import thumbnail
from utils.web.page.visit import Finding, InspectedCache, Run, Seen, Visit, Visits, now

Asked = list[tuple[Upload, Inspected | Refused]]  # images and the answers about them
Keep = Callable[[About, Asked], None]

PORTION = 8  # images that are inspected together before the page shows something


class PageActions:
    """The page's services for all visits.

    Args:
        inspectors: of all weights that can be chosen.
        samples: strips at hand.
        parts: of the folder named at start; none when none was named.
        keep: is told what came by upload and what was answered; None: nothing is kept.
    """

    def __init__(
        self, inspectors: Inspectors, samples: Sequence[SampleStrip], parts: Sequence[Part], keep: Keep | None = None
    ) -> None:
        self.keep = keep
        self.inspectors, self.samples, self.parts = inspectors, list(samples), list(parts)
        self.cache = InspectedCache()
        self.visits = Visits(self._begin, self.cache.forget)

    def close(self) -> None:
        """Forget everything, and close the inspectors that the page opened."""
        self.visits.clear()
        self.inspectors.close()

    def inspector(self, visit: Visit) -> Inspector:
        """Return the inspector of the weights that a visit uses."""
        return self.inspectors.get(visit.weights)

    def inspect(self, visit: Visit, sources: Sequence[Source]) -> Iterator[None]:
        """Inspect images, some at a time; what cannot be inspected is noted as refused.

        Yields:
            After each portion, when there is something new to show.
        """
        with visit.lock:
            added: list[Seen] = []
            for source in sources:
                seen = visit.add(source)
                added += [seen] if seen not in added else []
            fresh = [seen for seen in added if seen.finding is None and seen.key in visit.images]
            if added and not fresh:
                self._show(visit, added[0])
        begin, done, first = now(), 0, True
        for number in range(0, len(fresh), PORTION):
            with visit.lock:
                portion = fresh[number : number + PORTION]
                asked = self._run(visit, portion)
                if self.keep is not None and any(isinstance(seen.source, Uploaded) for seen in portion):
                    self.keep(self.inspector(visit).about, asked)
                done += _inspected(asked)
                if done:
                    visit.run = Run(done, now() - begin)
                there = [seen for seen in added if seen.finding is not None and seen.key in visit.images]
                if there and first:
                    self._show(visit, there[0])
                    first = False
            yield  # without the lock, which another thread may be the one to release

    def show(self, visit: Visit, key: Any) -> None:
        """Bring an image into sight; one that is not there is let be."""
        with visit.lock:
            if isinstance(key, str) and key in visit.images:
                self._show(visit, visit.images[key])

    def decide(self, visit: Visit, thresholds: Any, everywhere: bool) -> None:
        """Take other thresholds; the network is not run.

        Args:
            visit: whose.
            thresholds: one number 0..1 for each class; None: those of the weights.
            everywhere: decide about all images anew, not only about the one in sight.

        Raises:
            InputError: a browser sent something else.
        """
        with visit.lock:
            own = self.inspector(visit).about.decision.thresholds
            visit.thresholds = own if thresholds is None else _numbers(thresholds, len(own))
            for seen in list(visit.images.values()) if everywhere else self._in_sight(visit):
                self.current(visit, seen, cached=False)

    def use(self, visit: Visit, name: str) -> Iterator[None]:
        """Use other weights, and inspect the images of the visit anew.

        Raises:
            InputError: no such weights, or they cannot be used; then everything stays as it was.
        """
        if name not in self.inspectors.names:
            raise InputError(f"{name}: no such weights; choose from the list")
        about = self.inspectors.get(name).about
        with visit.lock:
            if name == visit.weights:
                return
            visit.weights, visit.thresholds = name, about.decision.thresholds
            self.cache.forget(visit)
            for seen in visit.images.values():
                seen.finding = None
            # The one in sight comes first.
            order = sorted(visit.images.values(), key=lambda seen: seen.key != visit.shown)
        begin, done = now(), 0
        for number in range(0, len(order), PORTION):
            with visit.lock:
                portion = [s for s in order[number : number + PORTION] if s.key in visit.images and s.finding is None]
                done += _inspected(self._run(visit, portion))
                visit.run = Run(done, now() - begin)
            yield

    def clear(self, visit: Visit) -> None:
        """Forget the images of a visit; its settings stay."""
        with visit.lock:
            visit.images.clear()
            visit.refused, visit.run, visit.shown = [], None, None
            self.cache.forget(visit)

    def current(self, visit: Visit, seen: Seen, cached: bool = True) -> Inspected | None:
        """Return what is known about an image with the visit's thresholds, made anew as far as need be.

        Args:
            visit: whose.
            seen: the image.
            cached: keep what had to be made anew; whoever goes through all images leaves the cache as it is, or each
                would push out the next.

        Returns:
            None when the image cannot be inspected any more.
        """
        with visit.lock:
            inspected = self.cache.get(visit, seen.key)
            kept = inspected is not None
            if inspected is None:
                answers = [answer for _, answer in self._run(visit, [seen], cached)]
                inspected = next((answer for answer in answers if isinstance(answer, Inspected)), None)
            if inspected is None or seen.finding is None:
                return None
            if seen.finding.thresholds != visit.thresholds:
                about = self.inspector(visit).about
                decision = dataclasses.replace(about.decision, thresholds=visit.thresholds)
                inspected = redecide(inspected, decision, task=about.task, gate=about.gate)
                seen.finding = Finding.of(about, inspected, visit.thresholds)
                if kept or cached:
                    self.cache.put(visit, seen.key, inspected)
            return inspected

    def _begin(self) -> Visit:
        """Make a visit that uses the weights loaded at start, with their own thresholds."""
        return Visit(weights=self.inspectors.default, thresholds=self.inspectors.served.about.decision.thresholds)

    def _in_sight(self, visit: Visit) -> list[Seen]:
        shown = visit.images.get(visit.shown or "")
        return [shown] if shown else []

    def _show(self, visit: Visit, seen: Seen) -> None:
        if self.current(visit, seen) is not None:
            visit.shown = seen.key

    def _run(self, visit: Visit, images: Sequence[Seen], cached: bool = True) -> Asked:
        """Run the network; images that cannot be inspected are noted as refused and forgotten."""
        ready: list[tuple[Seen, Upload]] = []
        for seen in images:
            try:
                ready.append((seen, Upload(seen.name, seen.source.data())))
            except InputError as error:
                self._refuse(visit, seen, Refused(seen.name, str(error), "damaged"))
        uploads = [upload for _, upload in ready]
        answers = self._ask(visit, uploads)
        about = self.inspector(visit).about
        for (seen, _), answer in zip(ready, answers, strict=True):
            if isinstance(answer, Refused):
                self._refuse(visit, seen, answer)
                continue
            # The network's run has decided with the weights' own thresholds; others are for ``current``.
            seen.finding = Finding.of(about, answer, about.decision.thresholds)
            seen.thumb = seen.thumb or thumbnail(answer.image)
            if cached:
                self.cache.put(visit, seen.key, answer)
                self.current(visit, seen)  # with the visitor's thresholds, if they are others
        return list(zip(uploads, answers, strict=True))

    def _ask(self, visit: Visit, uploads: Sequence[Upload]) -> list[Inspected | Refused]:
        answers = self.inspector(visit).inspect(uploads, keep_logits=True)
        if visit.weights != self.inspectors.default and any(
            isinstance(answer, Refused) and answer.code == "closing" for answer in answers
        ):
            # Another visitor's choice closed this inspector between finding and asking it; it opens again.
            answers = self.inspector(visit).inspect(uploads, keep_logits=True)
        return answers

    def _refuse(self, visit: Visit, seen: Seen, refused: Refused) -> None:
        visit.refuse(refused)
        visit.remove(seen.key)
        self.cache.forget(visit, seen.key)


def _inspected(asked: Asked) -> int:
    return sum(isinstance(answer, Inspected) for _, answer in asked)


def _numbers(sent: Any, count: int) -> tuple[float, ...]:
    """Check thresholds that a browser sent."""
    right = isinstance(sent, list) and len(sent) == count
    if not right or not all(type(one) in (int, float) and math.isfinite(one) and 0 <= one <= 1 for one in sent):
        raise InputError(f"thresholds: expected {count} numbers 0..1; load the page again")
    return tuple(map(float, sent))
