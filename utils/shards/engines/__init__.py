"""What runs the shards of a job, by the name of ``-engine``."""

from utils.shards.engines.engine import Engine
from utils.shards.engines.local import Local
from utils.shards.engines.ray import OnRay
from utils.shards.engines.slurm import Slurm
from utils.shards.engines.torchrun import Torchrun

ENGINES: dict[str, type[Engine]] = {"local": Local, "ray": OnRay, "torchrun": Torchrun, "slurm": Slurm}
