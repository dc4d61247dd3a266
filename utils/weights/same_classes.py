"""Whether networks can answer together: they were trained for the same task, on the same classes, in any order."""

from collections.abc import Iterable, Mapping

from utils.models.spec import ModelSpec
from utils.weights.weights_file import WeightsFile


def misfit(members: Mapping[str, WeightsFile]) -> str:
    """Return why the logits of some networks have no mean, in words; "" where they have one.

    Args:
        members: the networks, by what a user calls them.
    """
    (name, member), *others = members.items()
    first = member.spec
    for other, file in others:
        spec = file.spec
        if set(spec.class_names) != set(first.class_names):
            return (
                f"{name} knows the classes {', '.join(first.class_names)}, {other} knows {', '.join(spec.class_names)}; an"
                " ensemble is of networks with the same classes"
            )
        if (spec.task, spec.target) != (first.task, first.target):
            return f"{name} is for {_task(first)}, {other} for {_task(spec)}; an ensemble is of networks for one task"
        if spec.channels != first.channels:
            return (
                f"{name} sees images of {first.channels} channels, {other} of {spec.channels}; an ensemble is of networks"
                " with the same -channels"
            )
    return depth_misfit(members.values())


def depth_misfit(members: Iterable[WeightsFile]) -> str:
    """Return how the brightness that networks take for white differs, in words; "" where it does not."""
    files = list(members)
    for entry in ("bit_depth", "float_white"):
        depths = {getattr(member, entry) for member in files} - {None}
        if len(depths) > 1:
            found = " and ".join(f"{depth:g}" for depth in sorted(depths))
            return f"members were trained with a {entry} of {found}; name weights that belong together"
    return ""


def _task(spec: ModelSpec) -> str:
    return f"-task {spec.task}{f' -target {spec.target}' if spec.target else ''}"


def channel_order(first: ModelSpec, other: ModelSpec) -> tuple[int, ...]:
    """Return for each channel of a network's logits the channel of another one that means the same.

    Args:
        first: of the network whose order counts.
        other: of one with the same task and the same classes, perhaps in another order.

    Returns:
        As many numbers as there are channels, from 0; ``multiclass`` has the background as channel 0 in both.
    """
    background = int(first.task == "multiclass")
    names = other.scored_names
    return (*range(background), *(names.index(name) + background for name in first.scored_names))
