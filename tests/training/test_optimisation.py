"""The optimizers: groups of encoder and decoder, and what a step of Muon does to a convolution."""

from types import SimpleNamespace

import pytest
import torch
from timm.optim import muon

from config import TrainConfig
from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.training import optimisation
from utils.training.optimisation import make_optimizer, make_scheduler
from utils.training.stepping import GuardedBackward

SETTINGS = {"lr_encoder": 1e-3, "lr_decoder": 4e-3, "weight_decay": 0.0}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build(ModelSpec("unet", "efficientnet-b0", "multilabel", ("scratch",)))


def stepped(model, **changes):
    """Return by name how far one step moves each parameter; its gradient is drawn by lot, with one strong direction."""
    optimizer = make_optimizer(TrainConfig(**{**SETTINGS, **changes}), model)
    before = {name: parameter.detach().clone() for name, parameter in model.net.named_parameters()}
    generator = torch.Generator().manual_seed(1)
    for parameter in model.net.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim > 1:
            columns = torch.randn(parameter[0].shape, generator=generator)
            parameter.grad += 2 * torch.randn(len(parameter), *[1] * columns.ndim, generator=generator) * columns
    optimizer.step()
    return {name: parameter.detach() - before[name] for name, parameter in model.net.named_parameters()}


@pytest.mark.parametrize("name", ["adam", "adamw", "muon"])
def test_encoder_and_decoder_have_their_own_rates(model, name):
    config = TrainConfig(**SETTINGS, optimizer=name, schedule="onecycle", num_epochs=2)
    optimizer = make_optimizer(config, model)
    scheduler, when = make_scheduler(config, optimizer, batches=10)
    assert when == "batch"
    assert [group["name"] for group in optimizer.param_groups] == ["encoder", "decoder"]
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))
    peaks = {"encoder": 0.0, "decoder": 0.0}
    for _ in range(19):
        for group in optimizer.param_groups:
            peaks[group["name"]] = max(peaks[group["name"]], group["lr"])
        optimizer.step()
        scheduler.step()
    assert peaks == pytest.approx({"encoder": 1e-3, "decoder": 4e-3}, rel=0.01)


@pytest.mark.parametrize("steps", range(1, 13))
def test_one_cycle_of_few_steps_has_rates_to_learn_by(steps):
    weights = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weights], lr=1.0)
    config = TrainConfig(schedule="onecycle", num_epochs=steps)
    scheduler, _ = make_scheduler(config, optimizer, batches=1)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert min(rates) > 0
    assert max(rates) > 0.03
    if steps > 4:
        whole = torch.optim.lr_scheduler.OneCycleLR(
            torch.optim.SGD([weights], lr=1.0), 1.0, total_steps=steps, pct_start=0.25
        )
        expected = []
        for _ in range(steps):
            expected += whole.get_last_lr()
            whole.optimizer.step()
            whole.step()
        assert rates == expected


@pytest.mark.parametrize(
    ("layer", "rate"), [("encoder._blocks.3._expand_conv", 1e-3), ("decoder.blocks.2.conv1.0", 4e-3)]
)
def test_a_step_of_muon_turns_a_convolution_alike_in_all_directions(model, layer, rate):
    moved = {name: stepped(model, optimizer=name)[f"{layer}.weight"] for name in ("adamw", "muon")}
    spread = {}
    for name, change in moved.items():
        values = torch.linalg.svdvals(change.flatten(1))
        spread[name] = float(values.max() / values.min())
    assert spread["muon"] < 3 < 6 < spread["adamw"]
    # As large as a step of AdamW usually is, 0.2 of the rate: the same rates hold for both.
    assert float(moved["muon"].square().mean().sqrt()) == pytest.approx(0.2 * rate, rel=0.35)


@pytest.mark.slow  # large matrices
def test_muon_computes_in_float32_where_the_processor_has_no_bf16(model, monkeypatch):
    library, used, moved = muon.zeropower_via_newtonschulz, [], {}

    def watched(matrix, *args, dtype=torch.bfloat16, **options):
        used.append(dtype)
        return library(matrix, *args, dtype=dtype, **options)

    monkeypatch.setattr(muon, "zeropower_via_newtonschulz", watched)
    for has_bf16, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(optimisation, "cpu_has_bf16", lambda has_bf16=has_bf16: has_bf16)
        moved[dtype] = stepped(model, optimizer="muon")
        assert used
        assert set(used) == {dtype}
        used.clear()
    # Afterwards timm is as it was, also for others who use it in this process.
    assert muon.zeropower_via_newtonschulz is watched
    # The same step but for rounding.
    for name, exact in moved[torch.float32].items():
        assert float((moved[torch.bfloat16][name] - exact).norm()) < 0.05 * float(exact.norm())


@pytest.mark.parametrize(
    "layer", ["encoder._bn0.weight", "encoder._blocks.3._depthwise_conv.weight", "segmentation_head.0.weight"]
)
def test_muon_leaves_to_adamw_what_is_no_matrix(model, layer):
    change = stepped(model, optimizer="muon")[layer]
    # The first step of AdamW is the rate for every number, whatever its gradient.
    assert float(change.abs().std() / change.abs().mean()) < 0.01


@pytest.mark.parametrize(
    ("batches", "accumulate", "expected"),
    [(5, 2, [0.5, 0.5, 0.5, 0.5, 1.0]), (4, 3, [1 / 3, 1 / 3, 1 / 3, 1.0]), (2, 4, [0.5, 0.5]), (2, 1, [1.0, 1.0])],
)
@pytest.mark.parametrize("processes", [1, 2])
def test_the_last_update_of_an_epoch_averages_over_the_steps_that_it_has(batches, accumulate, expected, processes):
    shares: list[float] = []
    runner = SimpleNamespace(
        engine=SimpleNamespace(num_processes=processes, backward=lambda loss: shares.append(float(loss))),
        is_train_loader=True,
        batch_metrics={"loss": torch.tensor(1.0)},
        loader_batch_len=batches,
    )
    for step in range(1, batches + 1):
        runner.loader_batch_step = step * processes
        GuardedBackward(accumulate).on_batch_end(runner)
    assert shares == pytest.approx(expected)
