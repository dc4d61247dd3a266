"""Stochastic weight averaging: whose weights are averaged, by which images the batch norms are set, and how it goes on."""

import contextlib
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from config import TrainConfig
from utils.errors import InputError
from utils.training.flags import settle_network
from utils.training.interruption import Interruption
from utils.training.weight_mean import WeightMean, mean_in_words


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))


IMAGES = [torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(k)) * (k + 1) for k in range(3)]


def run(mean: WeightMean, model: nn.Module, epochs, processes: int = 1) -> list[torch.Tensor]:
    """Go through epochs, whose number is the value of all weights; give the convolution's weights of the mean after each."""
    engine = SimpleNamespace(autocast=contextlib.nullcontext, num_processes=processes, device=torch.device("cpu"))
    found = []
    for epoch in epochs:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(epoch)
        loaders = {"train": [{"images": images} for images in IMAGES]}
        for training in (True, False):
            mean.on_loader_end(
                SimpleNamespace(
                    is_train_loader=training, epoch_step=epoch, network=model, engine=engine, loaders=loaders
                )
            )
        found.append(mean.network[0].weight.detach().clone())
    return found


def test_the_last_epochs_count_and_the_batch_norms_are_set_by_a_pass_over_the_images():
    model = network()
    mean = WeightMean(model, 3, 5)
    found = run(mean, model, range(1, 6))
    assert [float(one.mean()) for one in found[2:]] == [3, 3.5, 4]
    assert [mean.completed(epoch) for epoch in (3, 4, 5)] == [False, False, True]
    with torch.no_grad():
        seen = [mean.network[0](images) for images in IMAGES]
    norm = mean.network[1]
    torch.testing.assert_close(norm.running_mean, torch.stack([one.mean((0, 2, 3)) for one in seen]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([one.var((0, 2, 3)) for one in seen]).mean(0))
    assert (norm.momentum, norm.training, mean.network[2].training) == (0.1, False, False)
    assert float(model[0].weight.detach().mean()) == 5, "the live network stays"
    assert int(model[1].num_batches_tracked) == 0


def test_it_goes_on_bit_for_bit_from_its_state():
    model = network()
    whole, first, second = (WeightMean(model, 3, 4) for _ in range(3))
    run(whole, model, range(1, 5))
    run(first, model, range(1, 4))
    state = first.state_dict()
    assert state["counted"] == 2
    second.load_state_dict(state)
    run(second, model, [4])
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[name]), name


def test_before_the_first_epoch_that_counts_there_is_nothing_to_keep():
    model = network()
    mean = WeightMean(model, 1, 4)
    run(mean, model, [1, 2])
    assert mean.state_dict() == {}
    mean.load_state_dict({})
    assert int(mean.mean.n_averaged) == 0


def test_a_signal_ends_the_pass():
    interruption = Interruption()
    mean = WeightMean(network(), 1, 1, interruption)
    interruption.requested = True
    with pytest.raises(KeyboardInterrupt):
        run(mean, network(), [1])


def test_statistics_of_processes_are_averaged(monkeypatch):
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda buffer: buffer.mul_(4))  # one process had nothing
    alone, shared = (WeightMean(network(), 1, 1) for _ in range(2))
    for mean, processes in ((alone, 1), (shared, 2)):
        run(mean, network(), [1], processes)
    torch.testing.assert_close(shared.network[1].running_var, 2 * alone.network[1].running_var)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"swa": 3, "ema": 0.9}, "-swa 3: beside -ema there would be two averages; leave one of the two out"),
        ({"swa": 3, "early_stop": 2}, "-swa 3: averages the last of all -num_epochs, which -early_stop may leave out"),
        ({"swa": 6}, "-swa 6: more epochs than the 5 of -num_epochs; take fewer"),
    ],
)
def test_flags_that_do_not_fit(flags, message):
    with pytest.raises(InputError, match=message):
        settle_network(TrainConfig(num_epochs=5, **flags))


def test_epochs_in_words():
    assert mean_in_words(5, 20) == "the mean of the weights of epochs 16 to 20"
    assert mean_in_words(1, 20) == "the weights of the last epoch"
    assert settle_network(TrainConfig(num_epochs=5, swa=5)).swa == 5
