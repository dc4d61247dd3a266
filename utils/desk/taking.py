"""What is taken along of a visit."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config import VERSION
from utils.desk import downloads
from utils.desk.actions import check_who
from utils.desk.desk import Desk, NotHere, only
from utils.desk.findings import Finding
from utils.desk.image_table import Filter
from utils.desk.looking import Looking
from utils.desk.report import make_report, to_html
from utils.desk.report_pdf import to_pdf
from utils.desk.session import Sessions
from utils.desk.settings_file import write_settings
from utils.desk.viewing import Viewing
from utils.desk.visits import Visit
from utils.errors import InputError


class Taking:
    """Makes downloads."""

    def __init__(self, desk: Desk, looking: Looking, viewing: Viewing) -> None:
        self.desk, self.looking, self.viewing = desk, looking, viewing
        self.sessions = Sessions(desk)

    def keep_settings(self, identity: str, sent: dict[str, Any]) -> dict[str, Any]:
        """Write a weights file with the thresholds in force; ``download`` gives it.

        Raises:
            InputError: something else was sent, or the weights are no file.
        """
        only(sent, {"name", "who"})
        visit = self.desk.visit(identity)
        source = self.desk.inspectors.path_of(visit.about.name)
        if source is None or not self.desk.inspectors.has(visit.about):
            raise InputError("The weights of this visit are not there any more.")
        name, who = sent.get("name") or "", sent.get("who")
        if not isinstance(name, str):
            raise InputError("name: expected a text")
        note = {"visit": visit.id, "title": visit.title, **({"who": check_who(who)} if who else {})}
        path = write_settings(source, visit.decision, name, self._settings_folder(visit), note)
        return {"file": path.name, "bytes": path.stat().st_size, "download": f"download/{path.name}"}

    def _settings_folder(self, visit: Visit) -> Path:
        return self.desk.files.folder / "weights" / visit.id

    def download(self, identity: str, name: str) -> Iterator[bytes]:
        """Return a download in pieces; sample strips are in none.

        Raises:
            NotHere: no such download.
        """
        visit = self.desk.visit(identity)
        if name == "results.csv":
            return downloads.results(visit, self.sessions.judged(visit))
        if name in ("report.html", "report.pdf"):
            report = make_report(self.sessions, visit, lambda key: self.viewing.thumb(identity, key), VERSION)
            return iter([to_html(report) if name.endswith("html") else to_pdf(report)])
        if (
            re.fullmatch(r"[A-Za-z0-9._-]+\.(pth|json)", name)
            and (path := self._settings_folder(visit) / name).is_file()
        ):
            return _pieces(path)
        if name in downloads.TABLES:
            if name == "labels.csv" and not visit.about.label_names:
                raise NotHere("These weights judge no whole images.")
            return downloads.table(name, visit.about, self._findings(visit))
        if name in downloads.ZIPS:
            make = self.viewing.overlay_of if name == "overlays.zip" else self.viewing.mask_of
            rows = self._done(visit)
            names = [row["name"] for row in rows]
            return downloads.zipped(name, names, ((row["name"], make(visit, row)) for row in rows))
        raise NotHere("There is no such download.")

    def _done(self, visit: Visit) -> list[dict[str, Any]]:
        wanted = Filter(samples=False)
        _, rows = self.desk.images.listed(visit.id, wanted, "old", -1, 0)
        return [row for row in rows if row["status"] == "done"]

    def _findings(self, visit: Visit) -> Iterator[tuple[str, Finding]]:
        for key in self.desk.images.keys(visit.id):
            row = self.desk.images.row(visit.id, key)
            if row is not None and row["status"] == "done":
                finding = self.looking.current(visit, row)
                if finding is not None:
                    yield row["name"], finding


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(2**20):
            yield block
