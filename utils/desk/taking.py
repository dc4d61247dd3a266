"""What is taken along of a visit."""

from collections.abc import Iterator
from typing import Any

from utils.desk import downloads
from utils.desk.desk import Desk, NotHere
from utils.desk.findings import Finding
from utils.desk.image_table import Filter
from utils.desk.looking import Looking
from utils.desk.viewing import Viewing
from utils.desk.visits import Visit


class Taking:
    """Makes downloads."""

    def __init__(self, desk: Desk, looking: Looking, viewing: Viewing) -> None:
        self.desk, self.looking, self.viewing = desk, looking, viewing

    def download(self, identity: str, name: str) -> Iterator[bytes]:
        """Return a download in pieces; sample strips are in none.

        Raises:
            NotHere: no such download.
        """
        visit = self.desk.visit(identity)
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
