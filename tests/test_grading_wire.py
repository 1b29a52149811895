"""What crosses between check and answer: the same verdicts, and no hostile message."""

import importlib
import json
import socket
import threading
import time

import pytest
import torch
from torch import nn

pytest.importorskip("fcntl", reason="grading needs Linux or macOS")

from labcore import measure  # noqa: E402
from labcore.checks.engine.exercise import Exercise, Step  # noqa: E402
from labcore.nets import MLP, VGG  # noqa: E402
from labcore.staff.grading import values as values_module  # noqa: E402
from labcore.staff.grading.answering import Answer  # noqa: E402
from labcore.staff.grading.proxy import AnswerSide, Refusal  # noqa: E402
from labcore.staff.grading.values import Values  # noqa: E402
from labcore.staff.grading.wire import BadMessage, Channel, Closed, TooLate  # noqa: E402

TABLES = ("RIGHT", "WRONG")


class Local(Answer):
    """The answer's side in a thread of this process, with a function at hand."""

    def __init__(self, channel, function):
        super().__init__(channel, {})
        self.function = function

    def _prepare(self, job):
        self.refused = tuple(job["refused"])
        return self.function

    def run(self):
        try:
            self.serve()
        except Closed:
            pass


def judged(exercise, function, seed=3):
    """The verdict of a check that asks the function over the wire."""
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=Local(Channel(theirs), function).run)
    thread.start()
    try:
        side = AnswerSide(Channel(ours, time.monotonic() + 60), 60)
        answer = side.start({"refused": list(exercise.refused)})
        return exercise.run(answer, seed=seed)
    finally:
        ours.close()
        thread.join()
        theirs.close()


def planted(lab):
    """Every right and wrong answer of the lab's own tests."""
    module = importlib.import_module(f"test_checks_{lab}")
    exercises = importlib.import_module(f"labcore.checks.{lab}").EXERCISES
    for table in TABLES:
        for name, listed in getattr(module, table).items():
            for label, function, *_ in listed:
                yield f"{table} {name}: {label}", exercises[name], function


LABS = [
    pytest.param(f"lab{n:02}", marks=[] if n == 2 else [pytest.mark.long])
    for n in range(10)
]


@pytest.mark.parametrize("lab", LABS)
def test_verdicts_are_those_of_the_notebook(lab):
    try:
        listed = list(planted(lab))
    except ModuleNotFoundError as error:
        pytest.skip(f"not written yet: {error.name}")
    different = []
    for label, exercise, function in listed:
        direct = exercise.run(function, seed=3)
        over = judged(exercise, function)
        heads = [v.message.splitlines()[0] for v in (direct, over)]
        if (direct.status, direct.points) != (over.status, over.points) or len(
            set(heads)
        ) > 1:
            different.append((label, direct.message, over.message))
    assert different == []


SHARED = {"a": 1.0, "b": 2.0}


def test_what_an_answer_does_to_its_arguments_does_not_reach_the_next_step():
    def total(shares):
        return sum(shares.values())

    def first_right_then_easy(shares):
        result = sum(shares.values())
        shares.clear()
        return result

    def asked(answer, shares):
        """the total"""
        return answer(shares)

    exercise = Exercise(
        "1.1",
        total,
        {"idea": 1},
        steps=[Step("idea", "sum", lambda ask: ask.through(asked, SHARED))],
    )
    assert judged(exercise, first_right_then_easy).status == "passed"
    assert SHARED == {"a": 1.0, "b": 2.0}


def test_changes_of_lists_and_dictionaries_are_seen():
    exercise = Exercise(
        "1.1",
        lambda values, table: len(values),
        {"idea": 1},
        steps=[Step("idea", "size", lambda ask: ask([1, [2]], {"a": [3]}))],
    )
    for change in (
        lambda values, table: values.pop(),
        lambda values, table: values[1].append(4),
        lambda values, table: table["a"].clear(),
        lambda values, table: table.update(b=1),
    ):

        def changing(values, table, change=change):
            size = len(values)
            change(values, table)
            return size

        verdict = judged(exercise, changing)
        assert verdict.status == "failed" and " is now " in verdict.message
    assert judged(exercise, lambda values, table: len(values)).status == "passed"


@pytest.fixture
def ends():
    """Two tables, as check and answer have them."""
    return (
        Values(of_answer=False, far=None),
        Values(of_answer=True, far=None),
    )


def carried(sender, receiver, content):
    message, blobs = sender.pack(content)
    message = json.loads(json.dumps(message))
    return receiver.unpack(message, [bytearray(blob) for blob in blobs])


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, 10**30, 0.1, float("inf"), "text", [1, (2, "x")], {1: {2}}),
        *({"a": [1.5, None]}, frozenset({1}), range(1, 9, 2), torch.float16),
    ],
)
def test_data_arrives_as_it_was(ends, value):
    got = carried(*ends, value)
    assert got == value and type(got) is type(value)


LAYOUTS = {
    "matrix": torch.arange(6.0).reshape(2, 3),
    "transposed": torch.arange(6.0).reshape(2, 3).t(),
    "every second": torch.arange(8)[::2],
    "a few rows of many": torch.arange(40_000.0).reshape(-1, 8)[::500],
    "expanded": torch.ones(3, 1).expand(3, 4),
    "channels last": torch.rand(2, 3, 4, 4).contiguous(
        memory_format=torch.channels_last
    ),
    "no dimension": torch.tensor(1.5, dtype=torch.double),
    "empty": torch.empty(0, 3),
    "no images": torch.empty(0, 1, 32, 64),
    "mask": torch.tensor([True, False]),
    "half": torch.ones(2, dtype=torch.bfloat16),
    "complex": torch.tensor([1 + 2j]).conj(),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_tensors_keep_values_type_and_layout(ends, name):
    value = LAYOUTS[name]
    got = carried(*ends, value)
    assert torch.equal(got, value) and got.dtype == value.dtype
    assert got.stride() == value.stride() or "few" in name


def test_a_change_in_place_comes_back_in_the_same_object(ends):
    check, answer = ends
    tensor = torch.arange(8.0)[::2].requires_grad_()
    there = carried(check, answer, [tensor])[0]
    with torch.no_grad():
        there.mul_(-1)
    back = carried(answer, check, there)
    assert back is tensor
    assert tensor.tolist() == [0, -2, -4, -6] and tensor.requires_grad


def test_what_did_not_change_is_not_sent_again(ends):
    check, answer = ends
    tensor = torch.rand(1000)
    there = carried(check, answer, tensor)
    _, blobs = answer.pack(there)
    assert blobs == []


@pytest.mark.parametrize(
    "make", [lambda: MLP(3, (2,), 2), lambda: VGG(width=2), lambda: nn.Dropout(0.3)]
)
def test_networks_arrive_whole(ends, make):
    model = make().eval()
    got = carried(*ends, model)
    assert type(got) is type(model) and str(got) == str(model)
    assert got.training is False
    for name, values in model.state_dict().items():
        assert torch.equal(got.state_dict()[name], values)


def test_a_network_keeps_its_parameters_unless_they_are_replaced(ends):
    check, answer = ends
    model = MLP(3, (2,), 2)
    first, second = model.fc1.weight, model.fc2.weight
    there = carried(check, answer, model)
    with torch.no_grad():
        there.fc1.weight.zero_()
    there.fc2.weight = nn.Parameter(torch.ones(2, 2))
    there.fc2.bias.requires_grad_(False)
    there.fc2.out_features = 7
    carried(answer, check, None)
    assert model.fc1.weight is first and first.abs().sum() == 0
    assert model.fc2.weight is not second and model.fc2.weight.sum() == 4
    assert not model.fc2.bias.requires_grad and model.fc2.out_features == 7


def test_gradients_hooks_and_training_mode_are_seen(ends):
    check, answer = ends
    model = MLP(3, (2,), 2).eval()
    there = carried(check, answer, model)
    there.train()
    there(torch.ones(1, 3)).sum().backward()
    there.fc1.register_forward_hook(lambda *_: None)
    carried(answer, check, None)
    assert model.training and model.fc1.bias.grad is not None
    assert len(model.fc1._forward_hooks) == 1


def tensor_state(**changed):
    return {
        "dtype": "float32",
        "size": [2],
        "stride": [1],
        "blob": 0,
        "learns": False,
        "parameter": False,
        "grad": None,
    } | changed


def message(body=None, state=None, number=1, blob=bytes(8), **changed):
    objects = [] if state is None else [[number, state, 0, 1]]
    settings = [1, True]
    return (
        {"body": body, "objects": objects, "gone": [], "settings": settings} | changed,
        [bytearray(blob)],
    )


NET = {
    "class": "torch.nn.modules.linear.Identity",
    "hooks": [0, 0, 0],
    "training": True,
    "data": {},
    "parameters": [],
    "buffers": [],
    "modules": [],
}

HOSTILE = {
    "no message": ([], []),
    "a dictionary as a value": message({"status": "passed"}),
    "an unknown form": message(["pickle", "x"]),
    "an unknown object": message(["@", 8]),
    "what the check never handed out": message(["near", 0]),
    "a type of its own": message(["dtype", "__class__"]),
    "a class from elsewhere": message(["class", "subprocess.Popen"]),
    "a class of torch that is no network": message(
        ["class", "torch.nn.modules.module.Tensor"]
    ),
    "a number of the check's": message(state=tensor_state(), number=2),
    "too few bytes": message(state=tensor_state(), blob=bytes(4)),
    "a negative size": message(state=tensor_state(size=[-2])),
    "a size that is no number": message(state=tensor_state(size=["2"])),
    "the same bytes for two": (
        {
            "body": None,
            "objects": [[1, tensor_state(), 0, 1], [3, tensor_state(), 0, 1]],
            "gone": [],
            "settings": [1, True],
        },
        [bytearray(8)],
    ),
    "its own bytes as its gradient": message(state=tensor_state(grad=tensor_state())),
    "countless objects": message(
        objects=[[2 * n + 1, NET, 0, 0] for n in range(6_000)],
    ),
    "a huge layout": message(state=tensor_state(stride=[10**12])),
    "a huge expansion": message(
        state=tensor_state(size=[2, 10**12], stride=[1, 0]),
    ),
    "a module from elsewhere": message(state=NET | {"class": "os.path"}),
    "a forward of its own": message(state=NET | {"data": {"forward": 1}}),
    "a call of its own": message(
        state=NET | {"data": {"_compiled_call_impl": ["far", 0, "callable", "f", "f"]}}
    ),
    "a function among its data": message(
        state=NET | {"data": {"act": ["list", ["far", 0, "callable", "f", "f"]]}}
    ),
    "a class among its data": message(
        state=NET | {"data": {"act": ["class", NET["class"]]}}
    ),
    "hooks of its own": message(state=NET | {"data": {"_forward_hooks": 1}}),
    "countless hooks": message(state=NET | {"hooks": [10**9, 0, 0]}),
    "a parameter that is none": message(state=NET | {"parameters": [["w", 1]]}),
    "a network of another class": message(state={"far": ["near", 0], "training": True}),
    "countless threads": message(settings=[10**9, True]),
    "deep nesting": message(json.loads("[" * 900 + "]" * 900)),
    "keys that cannot be": message(["dict", [["list"], 1]]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_message_is_refused(name):
    check = Values(of_answer=False, far=None)
    with pytest.raises(BadMessage):
        check.unpack(*HOSTILE[name])


def test_what_is_alive_at_once_is_bounded(monkeypatch):
    monkeypatch.setattr(values_module, "MOST_BYTES", 80)
    check = Values(of_answer=False, far=None)
    objects = [[2 * n + 1, tensor_state(), n, 1] for n in range(11)]
    with pytest.raises(BadMessage, match="too much at once"):
        check.unpack(*(message(objects=objects)[0], [bytearray(8)] * 11))


def test_data_that_only_looks_like_a_function_stays_data(ends):
    model = nn.Identity()
    model.table = {"far": ["near", 3]}
    assert carried(*ends, model).table == model.table


def test_a_refused_call_is_named_as_in_the_notebook():
    exercise = importlib.import_module("labcore.checks.lab05").EXERCISES[
        "get_model_macs"
    ]
    verdict = judged(exercise, lambda model, inputs: measure.macs(model, inputs))
    assert "a call of labcore.measure.macs\n" in verdict.message


def test_a_reply_sent_before_its_question_is_refused():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        told, blobs = Values(of_answer=True, far=None).pack({"value": 8})
        Channel(theirs).send(told, blobs)
        side = AnswerSide(Channel(ours, time.monotonic() + 60), 60)
        with pytest.raises(Refusal, match="not asked"):
            side.start({})
        assert side.over


def test_bytes_that_are_neither_true_nor_false_become_one_of_them(ends):
    state = tensor_state(dtype="bool")
    got = ends[0].unpack(*message(["@", 1], state, blob=b"\x02\x00"))
    assert torch.equal(got, torch.tensor([True, False]))


@pytest.mark.parametrize(
    "data",
    [
        *(b"x" * 40, b"lab1" + b"\xff" * 12, b"lab1" + bytes(3) + b"\x02" + bytes(8)),
        b"lab1\0\0\0\x02" + bytes(8) + b"{}",
        b"lab1\0\0\0\x08" + bytes(8) + b"[1,[-1]]",
    ],
)
def test_a_broken_frame_is_refused(data):
    ours, theirs = socket.socketpair()
    theirs.sendall(data + b"  ")
    theirs.close()
    with pytest.raises(BadMessage), ours:
        Channel(ours).receive()


def test_waiting_ends_at_the_deadline_and_with_the_other_side():
    ours, theirs = socket.socketpair()
    with ours:
        with pytest.raises(TooLate):
            Channel(ours, time.monotonic() - 1).receive()
        theirs.close()
        with pytest.raises(Closed):
            Channel(ours, time.monotonic() + 60).receive()
