"""Everything that the desk does, by what it is about; routes call this, from any thread."""

from utils.desk.adding import Adding
from utils.desk.desk import Desk
from utils.desk.jobs import Jobs
from utils.desk.listing import Listing
from utils.desk.looking import Looking
from utils.desk.reviewing import Reviewing
from utils.desk.taking import Taking
from utils.desk.viewing import Viewing


class Services:
    """The services around one desk.

    Args:
        desk: that they work on.
        callbacks: origins that may be told of jobs.
    """

    def __init__(self, desk: Desk, callbacks: tuple[str, ...] = ()) -> None:
        self.desk = desk
        self.listing = Listing(desk)
        self.adding = Adding(desk)
        self.looking = Looking(desk)
        self.viewing = Viewing(desk, self.looking)
        self.taking = Taking(desk, self.looking, self.viewing)
        self.reviewing = Reviewing(desk, self.looking)
        self.jobs = Jobs(desk, self.adding, self.looking, callbacks)

    def start(self) -> None:
        """Go on with what waited when the server stopped."""
        self.desk.start()
        self.jobs.start()

    def close(self) -> None:
        """End all of it."""
        self.jobs.close()
        self.desk.close()
