"""Reviews of the images of a visit."""

from typing import Any

from utils.desk.actions import check_who
from utils.desk.desk import Desk, only
from utils.desk.looking import Looking
from utils.desk.review import Base
from utils.errors import InputError


class Reviewing:
    """Takes in what people say."""

    def __init__(self, desk: Desk, looking: Looking) -> None:
        self.desk, self.looking = desk, looking

    def review(self, identity: str, key: int, sent: dict[str, Any]) -> dict[str, Any]:
        """Take actions of a reviewer in; returns the review after them.

        Raises:
            InputError: they are no such.
        """
        only(sent, {"who", "actions"})
        visit, row = self.desk.visit(identity), self.desk.row(identity, key)

        naming = self.desk.naming(visit)

        def propose() -> Base:
            finding = self.looking.current(visit, row)
            if finding is None:
                raise InputError("This image has not been inspected yet.")
            return Base.of(finding, naming.names, naming.first_class, visit.about.file, visit.settings)

        who = check_who(sent.get("who"))
        answer, new = self.desk.reviews.act(row["sha256"], identity, who, sent.get("actions"), propose, naming)
        if new:
            for other, place in self.desk.images.with_hash(row["sha256"]):
                self.desk.news.tell(other, place, "review")
                self.desk.news.tell(other, place)
        return answer
