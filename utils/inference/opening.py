"""Make networks and pipelines ready to run."""

from config import EvaluateConfig, MapCoilConfig, PredictConfig
from utils.device import choose_device
from utils.errors import InputError
from utils.inference.backends import BACKENDS
from utils.inference.backends.choice import choose
from utils.inference.chosen import Chosen
from utils.inference.inspected import Refused
from utils.inference.network import Network, Settings
from utils.inference.pipeline import MOST_AT_ONCE, InspectionPipeline
from utils.inference.systems.making import make_system
from utils.weights.weights_file import WeightsFile


def open_network(
    weights: WeightsFile,
    backend: str,
    device: str,
    precision: str,
    threads: int,
    *,
    compile: bool = False,
    images: int | None = None,
    meanwhile: bool = False,
) -> Network:
    """Make a weights file ready to run.

    Args:
        weights: the network.
        backend: a name of ``BACKENDS``; ``auto`` takes the fastest whose masks agree with those of torch.
        device: see ``Settings``.
        precision: see ``Settings``; ``auto`` as for ``backend``.
        threads: see ``Settings``.
        compile: see ``Settings``.
        images: how many images will come, for ``auto``, which does not measure for a few; none: many.
        meanwhile: of ``auto``: torch answers while the others are measured, see ``choose``.

    Raises:
        InputError: the machine has no such device, the backend is not installed, or it cannot compute in this
            precision on this device.
    """
    if threads < 0:
        raise InputError(f"-threads {threads}: expected 0 (all cores) or more")
    if backend not in ("auto", *BACKENDS):
        raise InputError(f"-backend {backend}: choose from auto, {', '.join(BACKENDS)}")
    settings = Settings(device, precision, threads, compile)
    if "auto" in (backend, precision):
        return choose(weights, settings, [backend] if backend != "auto" else list(BACKENDS), images, meanwhile)
    return BACKENDS[backend](weights, settings)


def open_pipeline(
    chosen: Chosen,
    config: PredictConfig | EvaluateConfig | MapCoilConfig,
    skipped: list[Refused],
    *,
    describe: bool,
    images: int | None,
    meanwhile: bool = False,
    keep_logits: bool = True,
) -> InspectionPipeline:
    """Make the pipeline that the flags ask for.

    Args:
        chosen: the network.
        config: the flags.
        skipped: every image that cannot be read is added here.
        describe: find each defect's box, area and probability, too.
        images: how many will come; none: many.
        meanwhile: see ``open_network``.
        keep_logits: see ``InspectionPipeline``.

    Raises:
        InputError: the machine cannot run the network as asked.
    """

    def open_one(member: WeightsFile) -> Network:
        return open_network(
            member,
            config.backend,
            config.device,
            config.precision,
            config.threads,
            images=images,
            meanwhile=meanwhile,
            compile=getattr(config, "compile", False),
        )

    return InspectionPipeline(
        make_system(chosen.weights, open_one, chosen.decision.min_areas, chosen.tta, config.tile),
        chosen.decision,
        batch_size=config.batch_size,
        describe=describe,
        on_skip=skipped.append,
        depth=chosen.depth,
        keep_logits=keep_logits,
        # A GPU's memory is asked for as -batch_size says, and too little is told; a CPU's takes the whole machine with it.
        at_once=None if choose_device(config.device).type == "cuda" else MOST_AT_ONCE,
    )
