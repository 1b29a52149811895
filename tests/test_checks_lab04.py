"""Lab 04's checks, held against right and wrong answers."""

import copy

import pytest
import torch
from answers import LabTests, verdict_on
from torch import nn
from torch.nn import functional as F

from labcore.checks import lab04
from labcore.checks.engine.picture import bars_picture
from labcore.checks.lab04.networks import masked
from labcore.nets import VGG


def parts(model, i):
    """conv i, its BatchNorm, the next conv"""
    names = (f"conv{i}", f"bn{i}", f"conv{i + 1}")
    return [getattr(model.backbone, name) for name in names]


def convs(model):
    return [m for m in model.backbone if isinstance(m, nn.Conv2d)]


NORM = ("weight", "bias", "running_mean", "running_var")


def select(model, i, index):
    model = copy.deepcopy(model)
    conv, norm, following = parts(model, i)
    conv.weight = nn.Parameter(conv.weight[index])
    for name in NORM[:2]:
        setattr(norm, name, nn.Parameter(getattr(norm, name)[index]))
    for name in NORM[2:]:
        setattr(norm, name, getattr(norm, name)[index])
    following.weight = nn.Parameter(following.weight[:, index])
    conv.out_channels = norm.num_features = following.in_channels = len(index)
    return model


def select_by_data(model, i, index):
    model = copy.deepcopy(model)
    conv, norm, following = parts(model, i)
    conv.weight.data = conv.weight.data.index_select(0, index)
    for name in NORM:
        values = getattr(norm, name)
        values.data = values.data.index_select(0, index)
    following.weight.data = following.weight.data.index_select(1, index)
    conv.out_channels = len(index)
    norm.num_features = following.in_channels = len(index)
    return model


def select_into_a_new_vgg(model, i, index):
    """A new network of the right shape, filled from the old one's numbers."""
    channels = [conv.out_channels for conv in convs(model)]
    channels[i] = len(index)
    state = {name: values.clone() for name, values in model.state_dict().items()}
    made = VGG(
        in_channels=convs(model)[0].in_channels,
        classes=model.classifier.out_features,
        channels=channels,
    )
    for name in (f"conv{i}.weight", *(f"bn{i}.{part}" for part in NORM)):
        state[f"backbone.{name}"] = state[f"backbone.{name}"][index]
    following = f"backbone.conv{i + 1}.weight"
    state[following] = state[following][:, index]
    made.load_state_dict(state)
    return made.train(model.training)


def select_without_padding(model, i, index):
    made = select(model, i, index)
    parts(made, i)[0].padding = (0, 0)
    return made


def select_for_training(model, i, index):
    return select(model, i, index).train()


def select_plain_tensors(model, i, index):
    model = copy.deepcopy(model)
    for layer in parts(model, i):
        layer.weight = layer.weight[index]
    return model


def select_and_move_index(model, i, index):
    made = select(model, i, index)
    index.add_(1)
    return made


def select_in_conv0(model, i, index):
    return copy.deepcopy(model) if i else select(model, i, index)


def importance(weight):
    return torch.linalg.vector_norm(weight, dim=(0, 2, 3))


def sort(model):
    for i, following in enumerate(convs(model)[1:]):
        order = importance(following.weight).argsort(descending=True)
        model = select(model, i, order)
    return model


def sort_by_python(model):
    model = copy.deepcopy(model)
    for i in range(len(convs(model)) - 1):
        norms = importance(parts(model, i)[2].weight).tolist()
        order = sorted(range(len(norms)), key=lambda c: norms[c], reverse=True)
        model = select(model, i, torch.tensor(order))
    return model


@torch.no_grad()
def sort_in_a_copy(model):
    """As the public lab does: the values move, the tensors stay."""
    model = copy.deepcopy(model)
    for i in range(len(convs(model)) - 1):
        conv, norm, following = parts(model, i)
        order = torch.argsort(importance(following.weight), descending=True)
        conv.weight.copy_(conv.weight.detach()[order].clone())
        for name in NORM:
            values = getattr(norm, name)
            values.copy_(values.detach()[order].clone())
        following.weight.copy_(following.weight.detach()[:, order].clone())
    return model


def sort_by_the_whole_norm(model):
    for i, following in enumerate(convs(model)[1:]):
        order = following.weight.norm().view(1).argsort(descending=True)
        model = select(model, i, order)
    return model


def select_with_a_new_norm(model, i, index):
    """A new layer with the right numbers, which is in training mode."""
    made = select(model, i, index)
    norm = nn.BatchNorm2d(len(index))
    norm.load_state_dict(parts(made, i)[1].state_dict())
    setattr(made.backbone, f"bn{i}", norm)
    return made


def sort_by_values(model):
    """sort()[0] holds values, not places."""
    for i, following in enumerate(convs(model)[1:]):
        order = importance(following.weight).sort(descending=True)[0]
        model = select(model, i, order)
    return model


def sort_by_own_inputs(model):
    for i, conv in enumerate(convs(model)[:-1]):
        order = importance(conv.weight).argsort(descending=True)
        model = select(model, i, order)
    return model


def norms_of(model):
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


def recalibrate_by_hooks(model, batches):
    """Each BatchNorm's inputs are averaged by hand; the BatchNorms stay in training
    mode, so that the next layers get what they would in training."""
    sums = {}

    def note(norm, args):
        x = args[0].detach().transpose(0, 1).flatten(1)
        mean, var = sums.get(norm, (0, 0))
        sums[norm] = mean + x.mean(dim=1), var + x.var(dim=1)

    norms = norms_of(model)
    handles = [norm.register_forward_pre_hook(note) for norm in norms]
    for norm in norms:
        norm.train()
    with torch.inference_mode():
        for batch in batches:
            model(batch)
    for handle in handles:
        handle.remove()
    for norm in norms:
        norm.running_mean.copy_(sums[norm][0] / len(batches))
        norm.running_var.copy_(sums[norm][1] / len(batches))
    model.eval()


@torch.no_grad()
def recalibrate_by_falling_momentum(model, batches):
    """1, 1/2, 1/3 ...: a plain average too."""
    old = {norm: norm.momentum for norm in norms_of(model)}
    for count, batch in enumerate(batches, 1):
        for norm in old:
            norm.momentum = 1 / count
            norm.train()
        model(batch)
    for norm, momentum in old.items():
        norm.momentum = momentum
        norm.eval()


@torch.no_grad()
def recalibrate(model, batches):
    old = [(norm, norm.momentum) for norm in norms_of(model)]
    for norm, _ in old:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None
    [model(batch) for batch in batches]
    for norm, momentum in old:
        norm.momentum = momentum
    return model.eval()


@torch.no_grad()
def recalibrate_one_kind(model, batches):
    """It knows VGG only."""
    norms = [m for m in model.backbone if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.train()
    for batch in batches:
        model(batch)


def recalibrate_without_a_model(batches):
    pass


def distil_by_kl_div(student, teacher, temperature):
    wanted = F.softmax(teacher / temperature, dim=1)
    found = F.log_softmax(student / temperature, dim=1)
    return F.kl_div(found, wanted, reduction="batchmean") * temperature**2


def distil_by_log_target(student, teacher, temperature):
    soft = [(scores / temperature).log_softmax(dim=-1) for scores in (student, teacher)]
    loss = F.kl_div(*soft, reduction="sum", log_target=True)
    return loss * temperature**2 / len(student)


def distil_by_cross_entropy(student, teacher, temperature):
    """The cross-entropy, minus that of the teacher with itself."""
    student, teacher = student / temperature, teacher / temperature
    wanted = teacher.softmax(dim=1)
    difference = F.cross_entropy(student, wanted) - F.cross_entropy(teacher, wanted)
    return temperature * temperature * difference


def distil_with_squares(student, teacher, temperature):
    return ((student - teacher) / temperature).square().mean()


def fold_by_hand(conv, norm):
    made = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        conv.padding,
    )
    deviation = torch.sqrt(norm.running_var + norm.eps)
    bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias
    with torch.no_grad():
        scale = (norm.weight / deviation).view(-1, 1, 1, 1)
        made.weight.copy_(conv.weight * scale)
        made.bias.copy_((bias - norm.running_mean) * scale.flatten() + norm.bias)
    return made


def fold_by_probing(conv, norm):
    """BatchNorm is a straight line: its value at 0, and its slope."""
    made, count = copy.deepcopy(conv), conv.out_channels
    with torch.no_grad():
        at_0, at_1 = norm(
            torch.stack([torch.zeros(count), torch.ones(count)])[:, :, None, None]
        )[..., 0, 0]
        scale = at_1 - at_0
        made.weight.mul_(scale[:, None, None, None])
        old = torch.zeros(count) if conv.bias is None else conv.bias
        made.bias = nn.Parameter(at_0 + scale * old)
    return made


def fold_by_torch(conv, norm):
    return nn.utils.fuse_conv_bn_eval(conv, norm)


def fold_into_a_sequence(conv, norm):
    return nn.Sequential(conv, norm)


RIGHT = {
    "select_channels": [
        ("by .data", select_by_data),
        ("into a new VGG", select_into_a_new_vgg),
        ("by setattr", select),
    ],
    "get_input_channel_importance": [
        ("vector_norm", importance),
        ("by squares", lambda w: w.square().sum(dim=(0, 2, 3)).sqrt()),
        ("one by one", lambda w: torch.stack([p.norm() for p in w.unbind(1)])),
        ("in float64", lambda w: importance(w.double())),
    ],
    "apply_channel_sorting": [
        ("by Python's sorted", sort_by_python),
        ("values moved in a copy", sort_in_a_copy),
        ("by select", sort),
    ],
    "recalibrate": [
        ("cumulative average", recalibrate),
        ("by hooks", recalibrate_by_hooks),
        ("falling momentum", recalibrate_by_falling_momentum),
    ],
    "distillation_loss": [
        ("kl_div", distil_by_kl_div),
        ("log_target", distil_by_log_target),
        ("cross-entropies", distil_by_cross_entropy),
    ],
    "fold_batchnorm": [
        ("by hand", fold_by_hand),
        ("by probing", fold_by_probing),
        ("torch's own", fold_by_torch),
    ],
}

ANY, LAYERS = "any convolution", "what the layers report"
THREE, TWO_AXES = "three input channels", "norm() takes two axes at most"
NEW_LAYER = "a new BatchNorm starts in training mode"

WRONG = {
    "select_channels": [
        ("plain tensors", select_plain_tensors, "shapes", "the error comes from line"),
        ("index moved", select_and_move_index, "shapes", None),
        ("no padding", select_without_padding, LAYERS, None),
        ("training", select_for_training, LAYERS, "the network you return is in train"),
        ("a new norm", select_with_a_new_norm, LAYERS, NEW_LAYER),
        ("only conv0", select_in_conv0, ANY, None),
    ],
    "get_input_channel_importance": [
        ("Tensor.norm", lambda w: w.norm(dim=(0, 2, 3)), THREE, TWO_AXES),
        ("torch.norm", lambda w: torch.norm(w, dim=(0, 2, 3)), THREE, TWO_AXES),
        ("corner", lambda w: w[:, :, 0, 0].norm(dim=0), THREE, None),
    ],
    "apply_channel_sorting": [
        ("the whole norm", sort_by_the_whole_norm, "shapes", None),
        ("values", sort_by_values, "shapes", "sort() returns values and places"),
        ("own inputs", sort_by_own_inputs, "shapes", "these are the importances of"),
    ],
    "recalibrate": [
        (
            "VGG only",
            recalibrate_one_kind,
            "one BatchNorm, two batches",
            "the error comes from",
        ),
        (
            "one argument",
            recalibrate_without_a_model,
            "one BatchNorm, two batches",
            "its arguments are (model, batches)",
        ),
    ],
    "distillation_loss": [
        ("squares", distil_with_squares, "one image, temperature 1", None),
    ],
    "fold_batchnorm": [
        ("a sequence", fold_into_a_sequence, "one weight, one channel", None),
    ],
}


class TestLab04(LabTests):
    lab, right, wrong = lab04, RIGHT, WRONG


@pytest.mark.parametrize(
    ("name", "words", "points"),
    [
        ("select_channels", "the layers report old sizes", 2),
        ("recalibrate", "momentum is still None", 3),
        ("distillation_loss", "the result is a plain number", 3),
        ("distillation_loss", "a probability rounds to 0 here", 3),
        ("apply_channel_sorting", "only the first pair is sorted", 3),
        ("apply_channel_sorting", "nothing is sorted", 0),
        ("apply_channel_sorting", "the least important comes first", 0),
    ],
)
def test_the_idea_earns_points_without_the_edge_cases(name, words, points):
    verdict = verdict_on(lab04.EXERCISES[name], words)
    assert verdict.status == ("partial" if points else "failed")
    assert verdict.points == points


def test_a_wrong_order_is_drawn_as_bars():
    verdict = lab04.EXERCISES["apply_channel_sorting"].run(copy.deepcopy)
    picture = verdict.message.split("  picture   ")[1].splitlines()
    assert picture[0] == "conv1: longer = larger, ! differs"
    assert picture[1].split() == ["expected", "yours"]
    due, mine = zip(*(line.split()[:2] for line in picture[2:]), strict=True)
    assert list(due) == sorted(due, key=len, reverse=True)
    assert sorted(due) == sorted(mine) and due != mine
    assert all(line.endswith("!") for line in picture[2:] if len(set(line.split())) > 2)


def test_rows_that_are_long_or_no_numbers_are_not_drawn():
    row = torch.tensor([2.0, 1.0])
    assert bars_picture({"a": row}, {"a": row.flip(0)})
    assert bars_picture({"a": row}, {"a": row}) == []
    assert bars_picture({"a": row}, {"b": row}) == []
    assert bars_picture({"a": torch.ones(9)}, {"a": torch.zeros(9)}) == []
    assert bars_picture({"a": "text"}, {"a": row}) == []
    assert bars_picture(row, row.flip(0)) == []


def test_the_references_hold_on_a_wider_network():
    """What the checks compare with is itself right: the outputs of masked networks."""
    torch.manual_seed(0)
    model = VGG(width=4, in_channels=1).eval()
    images = torch.randn(2, 1, 32, 32)
    kept = [torch.randperm(conv.out_channels)[:3] for conv in convs(model)[:-1]]
    small = model
    for i, index in enumerate(kept):
        small = lab04.select_channels(small, i, index)
    unread, after = masked(model, kept), lab04.apply_channel_sorting(model)
    with torch.no_grad():
        assert torch.allclose(small(images), unread(images), atol=1e-5)
        assert torch.allclose(after(images), model(images), atol=1e-5)


def test_the_public_network_at_30_percent_has_the_published_size():
    small = VGG(width=64)
    for i, conv in enumerate(convs(small)[:-1]):
        keep = torch.arange(round(conv.out_channels * 0.7))
        small = lab04.select_channels(small, i, keep)
    assert [conv.out_channels for conv in convs(small)] == [
        *(45, 90, 179, 179, 358, 358, 358, 512)
    ]
    assert sum(p.numel() for p in small.parameters()) == 5_013_666


def test_recalibrated_statistics_are_those_of_training_with_a_plain_average():
    torch.manual_seed(0)
    model = VGG(width=2, in_channels=1)
    batches = list(torch.randn(3, 4, 1, 16, 16))
    twin = copy.deepcopy(model)
    lab04.recalibrate(model, batches)
    for norm in norms_of(twin):
        norm.momentum = None
    for batch in batches:
        twin.train()(batch)
    for name, values in twin.state_dict().items():
        assert torch.allclose(model.state_dict()[name].float(), values.float()), name


def test_a_folded_network_computes_the_same():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4)
    images = torch.randn(8, 3, 9, 9)
    nn.Sequential(conv, norm).train()(images)
    folded = lab04.fold_batchnorm(conv, norm.eval())
    assert torch.allclose(folded(images), norm(conv(images)), atol=1e-6)
