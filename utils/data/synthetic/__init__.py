"""Synthetic strips: photographs of flat steel with defects of four classes, and their labels, drawn by the computer.

``statistics`` says what occurs how often, ``surface`` makes a sound strip, ``pits``, ``cracks``, ``scratches`` and
``patches`` paint one class each on a ``canvas``, ``distractors`` what nobody labels, ``outline`` labels as a person
would; ``strip`` puts one picture together and ``folder`` writes them.
"""

from utils.data.synthetic.folder import SynthesiseSummary, synthesise
from utils.data.synthetic.statistics import CLASS_NAMES

__all__ = ["CLASS_NAMES", "SynthesiseSummary", "synthesise"]
