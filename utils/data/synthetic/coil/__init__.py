"""Coils with known truth: lists of defects in no time, or frames of several cameras with pixels."""

from utils.data.synthetic.coil.events import EventSettings, draw_events, draw_rolls
from utils.data.synthetic.coil.series import DrawnRoll, Wander

__all__ = ["DrawnRoll", "EventSettings", "Wander", "draw_events", "draw_rolls"]
