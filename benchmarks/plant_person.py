"""A person at the inspector's page who knows the true masks: paints them by mouse and keys, not quite exactly, and counts.

What is not proposed well enough is rejected and painted anew: long thin defects by the brush, others by the polygon, whose
corners are off by some pixels. Playwright moves the mouse and presses the keys of a real page.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from utils.data import rle

LEAST = 20  # pixels of a part of a mask that a person draws
HOLE = 150  # pixels of a hole that a person cuts out
THIN = 8.0  # pixels across, up to which a brush is used
ALIKE = 0.8  # IoU with the true defect from which a proposal is accepted
WAIT, PATIENCE = 1200, 600_000  # times 50 ms; ms
STATE = "const { state, defectsOf, namesOf } = await import(new URL('page/modules/state.js', document.baseURI));"
VIEWER = "const v = await import(new URL('page/modules/viewer.js', document.baseURI));"


@dataclass
class Work:
    """What a person did.

    Attributes:
        images: reviewed.
        clicks: of the mouse, corners of polygons included.
        strokes: of the brush.
        keys: pressed.
        defects: painted by hand.
        accepted: proposals taken as they are.
        rejected: proposals.
        seconds: at the page.
        told: actions that the server was to keep.
    """

    images: int = 0
    clicks: int = 0
    strokes: int = 0
    keys: int = 0
    defects: int = 0
    accepted: int = 0
    rejected: int = 0
    seconds: float = 0.0
    told: int = 0


@dataclass
class Person:
    """Somebody at a page.

    Args:
        page: of Playwright.
        name: under which the reviews are kept.
        truth: gives the true masks of an image by its name, ``(H, W, C)`` bool.
        class_names: of the masks.
        jitter: standard deviation of a corner, in pixels.
        seed: of it.
    """

    page: Any
    name: str
    truth: Callable[[str], np.ndarray]
    class_names: Sequence[str]
    jitter: float
    seed: int
    work: Work = field(default_factory=Work)

    def __post_init__(self) -> None:
        self.chance = np.random.default_rng(self.seed)
        self.size = np.zeros(2)  # width and height of the image in sight

    # --- the page -------------------------------------------------------------------------------------------------------

    async def open(self, url: str) -> None:
        """Open the page and say who is there."""
        await self.page.goto(url)
        await self.until("return document.querySelector('#start h2')?.textContent")
        await self.page.click("#more-menu > button")
        await self.page.fill("#who", self.name)
        await self.page.keyboard.press("Escape")
        await self.page.locator("h1").click()

    async def take_folder(self) -> None:
        """Begin a visit of all images of the server's folder, and wait until they are inspected."""
        await self.click("#start-folder")
        await self.page.locator("#folder-all:not(:disabled)").click()
        await self.until(
            f"{STATE} const c = state.visit?.counts; return c?.images && c.done + c.refused >= c.images && state.key"
        )

    async def take_queue(self, queue: str) -> None:
        """Choose what comes next."""
        await self.page.select_option("#queue", queue)
        self.work.clicks += 2
        await self.page.locator("#left:not(:empty)").wait_for()

    async def until(self, body: str, value: Any = None) -> Any:
        """Wait until the body of a function gives something true; the page's policy forbids Playwright's own way."""
        for _ in range(WAIT):
            found = await self.page.evaluate(f"async (value) => {{ {body} }}", value)
            if found:
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"never: {body}")

    async def image(self) -> dict[str, Any]:
        """Return what the page knows of the image in sight, once its picture is drawn and lies still."""
        await self.until(
            f"{STATE} {VIEWER} return state.image && state.image.key === state.key && state.image.status === 'done'"
            " && v.first.viewer.world.getItemAt(0)?.getFullyLoaded()"
        )
        await self.frame()
        told: dict[str, Any] = await self.page.evaluate(
            f"""async () => {{ {STATE}
                const {{ image }} = state;
                return {{ key: image.key, name: image.name, width: image.width, height: image.height,
                          names: namesOf(state.visit).map((one) => [one.id, one.name]), first: state.brushClass,
                          defects: defectsOf(image).map((one) => [one.number, one.class_id, one.rle, one.review ?? ""]) }}; }}"""
        )
        self.size = np.array([told["width"], told["height"]])
        return told

    async def frame(self) -> tuple[float, float, float]:
        """Return where the image's corner lies in the window, and pixels of the window for one of the image."""
        last = None
        for _ in range(WAIT):
            found = await self.page.evaluate(
                f"""async () => {{ {VIEWER}
                    const frame = v.first.layer.frame(), box = v.first.layer.canvas.getBoundingClientRect();
                    return frame && [box.left + frame.x, box.top + frame.y, frame.scale]; }}"""
            )
            if found and last and np.allclose(found, last, atol=0.01):
                return tuple(found)
            last = found
            await asyncio.sleep(0.05)
        raise AssertionError("the picture never lies still")

    async def sent(self) -> None:
        """Wait until the server has everything."""
        await self.until("return (sessionStorage.getItem('steel-outbox') || '[]') === '[]'")

    async def key(self, name: str, times: int = 1) -> None:
        """Press a key."""
        for _ in range(times):
            await self.page.keyboard.press(name)
            self.work.keys += 1

    async def click(self, where: str) -> None:
        """Click on a part of the page."""
        await self.page.click(where)
        self.work.clicks += 1

    # --- a review -------------------------------------------------------------------------------------------------------

    async def review(self, before: Callable[["Person", np.ndarray, int, dict[str, Any]], Any] | None = None) -> str:
        """Review the image in sight as its labels have it, and go on to the next; return its name.

        Args:
            before: is awaited before something is painted: with this person, a part of a mask, the digit of its class and the image.
        """
        start = time.monotonic()
        image = await self.image()
        masks = self.truth(image["name"])
        wanted = [(index, part) for index in range(masks.shape[2]) for part in parts(masks[..., index])]
        ids = {name: number for number, name in image["names"]}
        if not wanted:
            await self.leave("c", image["key"])
        else:
            wanted = await self.judge(image, wanted, ids)
            if wanted and before is not None:
                await before(self, wanted[0][1], self.digit(image, wanted[0][0]), image)
            for index, part in wanted:
                await self.paint(part, self.digit(image, index))
            await self.key("v") if wanted else None
            await self.leave("Enter", image["key"])
        self.work.images += 1
        self.work.seconds += time.monotonic() - start
        return str(image["name"])

    async def leave(self, mark: str, key: str) -> None:
        """Mark the image by a key, and wait until the next one is in sight, or the server says that none is left."""
        answered = lambda response: "/next?" in response.url and response.ok  # noqa: E731
        async with self.page.expect_response(answered, timeout=PATIENCE) as coming:
            await self.key(mark)
        self.work.told += 1
        if (await (await coming.value).json())["key"] is not None:
            await self.until(f"{STATE} return state.key !== value", key)

    def digit(self, image: dict[str, Any], index: int) -> int:
        """Return the key of a class."""
        return [name for _, name in image["names"]].index(self.class_names[index]) + 1

    async def judge(
        self, image: dict[str, Any], wanted: list[tuple[int, np.ndarray]], ids: dict[str, int]
    ) -> list[tuple[int, np.ndarray]]:
        """Accept what is proposed well, reject the rest; return what is left to paint."""
        left = list(wanted)
        for number, class_id, code, said in image["defects"]:
            if said:
                continue
            proposed = rle.decode(code, image["height"], image["width"]).astype(np.bool_)
            alike = [iou(proposed, part) for _, part in left]
            best = int(np.argmax(alike)) if alike else -1
            if best < 0 or alike[best] < ALIKE:
                await self.key("x")
                self.work.rejected += 1
            else:
                index = left.pop(best)[0]
                if ids[self.class_names[index]] == class_id:
                    await self.key("a")
                else:  # the outline is right, the class is not
                    await self.click(f'#rows tr[data-number="{number}"] td:nth-child(2)')
                    for key in (str(self.digit(image, index)), "Escape", "0"):
                        await self.key(key)
                self.work.accepted += 1
            self.work.told += 1
        return left

    async def paint(self, part: np.ndarray, digit: int) -> None:
        """Paint a connected part of a mask, ``(H, W)`` bool."""
        self.work.defects += 1
        line = middle(part)
        if line is not None:
            await self.tool("brush", "b")
            await self.key(str(digit))
            path, width = line
            await self.resize(width)
            await self.drag(path)
            return
        await self.tool("polygon", "g")
        await self.key(str(digit))
        outer, holes = rings(part)
        await self.polygon(outer)
        for hole in holes:
            await self.polygon(hole, erase=True)

    async def tool(self, name: str, key: str) -> None:
        """Take a tool in hand."""
        if await self.page.evaluate(f"async () => {{ {STATE} return state.tool; }}") != name:
            await self.key(key)

    async def resize(self, width: float) -> None:
        """Make the brush as wide as the defect, by its keys."""
        for _ in range(30):
            size = await self.page.evaluate(f"async () => {{ {STATE} return state.size; }}")
            if size / 1.13 <= width <= size * 1.13 or (size <= 1 and width < 1) or abs(size - width) <= 0.5:
                return
            await self.key("[" if size > width else "]")

    async def drag(self, path: np.ndarray) -> None:
        """Draw a stroke of the brush through points, ``(n, 2)`` x, y."""
        x, y, scale = await self.frame()
        points = self.near(path, self.jitter / 2)
        await self.page.mouse.move(x + scale * points[0, 0], y + scale * points[0, 1])
        await self.page.mouse.down()
        for px, py in points[1:]:
            await self.page.mouse.move(x + scale * px, y + scale * py, steps=2)
        await self.page.mouse.up()
        self.work.strokes += 1
        self.work.told += 1

    def near(self, points: np.ndarray, jitter: float) -> np.ndarray:
        """Return where a hand comes that aims at points, ``(n, 2)`` x, y; not beside the picture, where buttons are."""
        moved: np.ndarray = np.clip(points + self.chance.normal(0, jitter, points.shape), 0.3, self.size - 0.3)
        return moved

    async def polygon(self, ring: np.ndarray, erase: bool = False) -> None:
        """Set the corners of a polygon, ``(n, 2)`` x, y, and close it; with Shift, which cuts it out."""
        x, y, scale = await self.frame()
        apart = np.linalg.norm(ring[:, None] - ring[None], axis=2) + 1e9 * np.eye(len(ring))
        corners = self.near(np.roll(ring, -int(apart.min(axis=1).argmax()), axis=0), self.jitter)
        far = np.linalg.norm(corners - corners[0], axis=1) > 12 / scale  # nearer to the first, a click would close it
        kept = np.concatenate([corners[:1], corners[1:][far[1:]]])
        if len(kept) < 3:
            return
        for px, py in kept:
            await self.page.mouse.click(x + scale * px, y + scale * py)
            self.work.clicks += 1
        if erase:
            await self.page.keyboard.down("Shift")
            await self.page.mouse.click(x + scale * kept[0, 0], y + scale * kept[0, 1])
            await self.page.keyboard.up("Shift")
            self.work.clicks += 1
            self.work.keys += 1
        else:
            await self.key("Enter")
        self.work.told += 1


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Compute the overlap of two masks."""
    union = np.logical_or(one, other).sum()
    return float(np.logical_and(one, other).sum() / union) if union else 0.0


def parts(mask: np.ndarray) -> list[np.ndarray]:
    """Cut a mask into its connected parts of ``LEAST`` pixels or more."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    found = [labels == number for number in range(1, count)]
    return [part for part in found if part.sum() >= LEAST]


def rings(part: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the outline of a part in few corners, and those of its large holes: ``(n, 2)`` x, y, corners of pixels."""
    # Twice as large, contours run through whole pixels beside the edge rather than through the middle of the last ones.
    large = cv2.resize(part.astype(np.uint8), None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
    found, tree = cv2.findContours(large, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    simple = [(cv2.approxPolyDP(ring, 5.0, True)[:, 0, :] + 0.5) / 4 for ring in found]
    outer = max((k for k in range(len(found)) if tree[0][k][3] < 0), key=lambda k: cv2.contourArea(found[k]))
    holes = [
        simple[k]
        for k in range(len(found))
        if tree[0][k][3] >= 0 and cv2.contourArea(found[k]) / 16 >= HOLE and len(simple[k]) >= 3
    ]
    return simple[outer], holes


def middle(part: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Return a line through a long thin part, ``(n, 2)`` x, y, and its width in pixels; None for another shape."""
    ys, xs = np.nonzero(part)
    points = np.stack([xs, ys], axis=1) + 0.5
    centre = points.mean(axis=0)
    axis = np.linalg.svd(points - centre, full_matrices=False)[2][0]
    along = (points - centre) @ axis
    length = np.ptp(along) + 1
    width = len(points) / length
    if width > THIN or length < 3 * width:
        return None
    bins = np.digitize(along, np.linspace(along.min(), along.max(), max(2, int(length / 8))))
    path = np.stack([points[bins == number].mean(axis=0) for number in np.unique(bins)])
    off = (points - centre) @ np.array([-axis[1], axis[0]])
    if max(np.ptp(off[bins == number]) for number in np.unique(bins)) > 2 * THIN:  # a net of lines is no stroke
        return None
    return path, width
