"""The routes of the desk: ``visits`` and their ``images``, ``pictures`` and ``downloads`` of them, ``reviews``, ``events``."""
