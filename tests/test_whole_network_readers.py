"""Readers that see a chain of layers at once, against their papers' definitions, computed with loops."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from switchbench.methods import METHODS, Switcher, SwitcherEquivariant
from switchbench.methods.parts.paths import Paths
from switchbench.methods.switchers.functional import FunctionalReader, NFLayer
from switchbench.methods.switchers.graph import GraphReader
from switchbench.methods.switchers.reading import Reading
from switchbench.spec.components import NetworkChoice
from switchbench.spec.scope import Scope
from switchbench.trial.run import run_trial

Shapes = dict[str, tuple[int, ...]]
KINDS = ["functional", "graph"]
MLP: Shapes = {"a": (7, 5), "b": (6, 7), "c": (4, 6)}
CONVOLUTIONS: Shapes = {"a": (3, 2, 3, 3), "b": (4, 3, 2, 2), "c": (5, 16), "d": (3, 5)}
"""Of images of 5×5 pixels, which leave 2×2 of each of four channels; shapes of weights."""


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def some(shapes: Shapes) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    weights = {name: torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()}
    return weights, {name: (torch.rand_like(weight) > 0.4).double() for name, weight in weights.items()}


def reading(kind: str, weights: dict[str, Tensor], **options: Any) -> Reading:
    config = SwitcherEquivariant.Config(reader=kind, hidden=5, **{"prior": "none"} | options)
    parameters = {name: nn.Parameter(weight) for name, weight in weights.items()}
    made = Reading.of(
        parameters, config, Paths(nn.Sequential(), torch.zeros(1)), torch.Generator().manual_seed(0)
    )
    made.readers.double()
    return made


def permuted(tensors: dict[str, Tensor], orders: list[Tensor]) -> dict[str, Tensor]:
    """Put the neurons between layers in other orders; ``orders`` are those of the first inputs, then of each
    layer's outputs."""
    moved = {}
    for (name, tensor), (inputs, outputs) in zip(tensors.items(), itertools.pairwise(orders), strict=True):
        each = tensor.shape[1] // len(inputs)  # pixels of a flattened channel stay together
        columns = torch.cat([torch.arange(each) + each * int(unit) for unit in inputs])
        moved[name] = tensor[outputs][:, columns]
    return moved


def orders_of(shapes: Shapes, hidden_only: bool) -> list[Tensor]:
    sizes = [next(iter(shapes.values()))[1], *[shape[0] for shape in shapes.values()]]
    ends = (0, len(sizes) - 1) if hidden_only else ()
    return [torch.arange(n) if place in ends else torch.randperm(n) for place, n in enumerate(sizes)]


def mlp_output(weights: dict[str, Tensor], images: Tensor) -> Tensor:
    a, b, c = weights.values()
    return (images @ a.T).relu() @ b.T.relu() @ c.T


def convolutional_output(weights: dict[str, Tensor], images: Tensor) -> Tensor:
    a, b, c, d = weights.values()
    channels = torch.conv2d(torch.conv2d(images, a).relu(), b).relu()
    return (channels.flatten(1) @ c.T).relu() @ d.T


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden_only", [True, False])
@pytest.mark.parametrize("shapes", [MLP, CONVOLUTIONS], ids=["mlp", "convolutions"])
def test_logits_follow_neurons(kind: str, shapes: Shapes, hidden_only: bool) -> None:
    weights, gates = some(shapes)
    orders = orders_of(shapes, hidden_only)
    moved = permuted(weights, orders)
    if hidden_only:  # these permutations change no output
        image = (2, 5) if shapes is MLP else (2, 2, 5, 5)
        images = torch.randn(image, dtype=torch.float64)
        output = mlp_output if shapes is MLP else convolutional_output
        assert_close(output(moved, images), output(weights, images))
    made = reading(kind, weights)
    found = {name: logit.view_as(weights[name]) for name, logit in made.logits(weights, gates, {}).items()}
    again = made.logits(moved, permuted(gates, orders), {})
    for name, logit in permuted(found, orders).items():
        assert logit.std() > 1e-4
        assert_close(again[name], logit.flatten(1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_in_one_layer_is_seen_in_all(kind: str) -> None:
    weights, gates = some(MLP)
    made = reading(kind, weights)
    before = made.logits(weights, gates, {})
    after = made.logits(weights | {"c": weights["c"].roll(1, 0) + 1}, gates, {})
    assert not any(torch.allclose(before[name], after[name]) for name in MLP)


def test_sizes_of_layers_do_not_count() -> None:
    def parameters(kind: str, *widths: int) -> int:
        weights = {str(i): torch.zeros(b, a) for i, (a, b) in enumerate(itertools.pairwise(widths))}
        return sum(p.numel() for p in reading(kind, weights).readers.parameters())

    assert parameters("functional", 5, 7, 6, 4) == parameters("functional", 50, 9, 30, 10)
    assert parameters("functional", 5, 7, 6, 4) != parameters("functional", 5, 7, 4)
    assert parameters("graph", 5, 7, 6, 4) == parameters("graph", 50, 9)


def entries_of_a_chain(channels: int) -> list[Tensor]:
    """Three layers: 2 inputs with 3 connections each, then 3, 2 and 4 outputs; 2 connections in the second."""
    shapes = [(3, 2, 3), (2, 3, 2), (4, 2, 1)]
    return [torch.randn(*shape, channels, dtype=torch.float64) for shape in shapes]


def mean(vectors: list[Tensor]) -> Tensor:
    return torch.stack(vectors).sum(0) / len(vectors)


def places(entry: Tensor) -> list[tuple[int, int, int]]:
    one, two, three = entry.shape[:3]
    return [*itertools.product(range(one), range(two), range(three))]


def entering(entry: Tensor, output: int) -> Tensor:
    return mean([entry[place] for place in places(entry) if place[0] == output])


def leaving(entry: Tensor, neuron: int) -> Tensor:
    return mean([entry[place] for place in places(entry) if place[1] == neuron])


def test_an_nf_layer_is_the_sum_of_its_terms() -> None:
    inputs, outputs = 2, 3
    entries = entries_of_a_chain(inputs)
    layer = NFLayer(3, inputs, outputs).double()
    found = layer(entries)
    means = torch.cat([mean([entry[place] for place in places(entry)]) for entry in entries])
    whole = layer.whole.weight @ means + layer.whole.bias
    for number, entry in enumerate(entries):
        maps = {name: getattr(layer, name)[number].weight for name in ("entry", "row", "column")}
        assert found[number].shape == (*entry.shape[:3], outputs)
        for place in places(entry):
            output, neuron, _ = place
            around_output = [entering(entry, output)]
            if number < 2:
                around_output.append(leaving(entries[number + 1], output))
            around_input = [leaving(entry, neuron)]
            if number > 0:
                around_input.append(entering(entries[number - 1], neuron))
            expected = maps["entry"] @ entry[place]
            expected = expected + whole[outputs * number : outputs * (number + 1)]
            expected = expected + maps["row"] @ torch.cat(around_output)
            expected = expected + maps["column"] @ torch.cat(around_input)
            assert_close(found[number][place], expected)


def test_the_functional_reader_is_nf_layers_with_relu_between() -> None:
    seen = {str(number): entry for number, entry in enumerate(entries_of_a_chain(2))}
    reader = FunctionalReader(3, hidden=4, silent=False).double()
    one, two, three = reader.maps
    first = [entry.clamp(min=0) for entry in one([*seen.values()])]
    second = [entry.clamp(min=0) for entry in two(first)]
    for found, expected in zip(reader(seen).values(), three(second), strict=True):
        assert_close(found, expected[..., 0])


def mlp(module: Any, *parts: Tensor) -> Tensor:
    """An MLP of its concatenated inputs."""
    first = torch.cat([each.weight for each in module.first], dim=1)
    hidden = first @ torch.cat(parts) + module.first[0].bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    return module.last.weight @ hidden + module.last.bias  # type: ignore[no-any-return]


def test_the_graph_reader_sends_messages_along_connections() -> None:
    """Nodes and edges one by one, in a graph without layers."""
    entries = entries_of_a_chain(2)
    reader = GraphReader(hidden=4, silent=False).double()
    edges: dict[tuple[int, int, int, int], Tensor] = {}  # layer, output, neuron, number
    for layer, entry in enumerate(entries):
        edges |= {(layer, *place): entry[place] for place in places(entry)}
    ends = {edge: ((edge[0], edge[2]), (edge[0] + 1, edge[1])) for edge in edges}  # from, to
    nodes = {node: torch.empty(0) for pair in ends.values() for node in pair}

    def around(node: tuple[int, int], side: int, of: dict[Any, Tensor], size: int) -> Tensor:
        meeting = [value for edge, value in of.items() if ends[edge][side] == node]
        return mean(meeting) if meeting else torch.zeros(size, dtype=torch.float64)

    sizes = {edge: value[:1].abs() for edge, value in edges.items()}
    for node in nodes:
        place = torch.tensor([node[0] / 3], dtype=torch.float64)
        nodes[node] = torch.cat([place, around(node, 1, sizes, 1), around(node, 0, sizes, 1)])

    first, last = reader.edges
    (update,) = reader.nodes
    edges = {edge: mlp(first, value, *(nodes[end] for end in ends[edge])) for edge, value in edges.items()}
    nodes = {
        node: mlp(update, value, around(node, 1, edges, 4), around(node, 0, edges, 4))
        for node, value in nodes.items()
    }
    scores = {edge: mlp(last, value, *(nodes[end] for end in ends[edge])) for edge, value in edges.items()}

    found = reader({str(layer): entry for layer, entry in enumerate(entries)})
    for (layer, output, neuron, number), score in scores.items():
        assert_close(found[str(layer)][output, neuron, number], score[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_sees_weights_over_their_root_mean_square_and_gates(kind: str) -> None:
    weights, gates = some(CONVOLUTIONS)
    made, seen = reading(kind, weights), []
    made.readers[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    made.logits(weights, gates, {})
    for name, neurons in {"a": 2, "b": 3, "c": 4, "d": 5}.items():
        weight, shown = weights[name], seen[0][name]
        assert shown.shape[:2] == (len(weight), neurons)
        assert_close(shown[..., 0].flatten(), (weight / weight.square().mean().sqrt()).flatten())
        assert torch.equal(shown[..., 1].flatten(), gates[name].flatten())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("units", ["connection", "neuron"])
def test_logits_are_the_prior_at_the_start_and_the_reader_can_learn(kind: str, units: str) -> None:
    weights, gates = some(MLP)
    made = reading(kind, weights, prior="magnitude", units=units)
    logits = made.logits(weights, gates, {})
    for name, weight in weights.items():
        size = weight.abs() if units == "connection" else weight.square().mean(0).sqrt()
        assert_close(logits[name], size.log())
    sum((logit * torch.randn_like(logit)).sum() for logit in logits.values()).backward()  # type: ignore[union-attr]
    assert sum(int(p.grad.count_nonzero()) for p in made.readers.parameters() if p.grad is not None) > 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_gate_of_an_input_has_the_mean_score_of_its_connections(kind: str) -> None:
    weights, gates = some(MLP)
    torch.manual_seed(1)
    each = reading(kind, weights).logits(weights, gates, {})
    torch.manual_seed(1)
    units = reading(kind, weights, units="neuron").logits(weights, gates, {})
    for name, logit in each.items():
        assert_close(units[name], logit.sum(0) / len(logit))


@pytest.mark.parametrize("kind", KINDS)
def test_shuffled_weights_tell_nothing_of_places(kind: str) -> None:
    weights, gates = some({"a": (20, 30), "b": (10, 20)})
    made, seen = reading(kind, weights, sees="shuffled"), []
    made.readers[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    logits = made.logits(weights, gates, {})
    for name, weight in weights.items():
        shown, gate = seen[0][name][..., 0].view_as(weight), seen[0][name][..., 1].view_as(weight)
        own = weight / weight.square().mean().sqrt()
        assert_close(shown.flatten().sort().values, own.flatten().sort().values)
        assert (shown == own).double().mean() < 0.1
        order = (own.flatten()[None] - shown.flatten()[:, None]).abs().argmin(1)
        assert torch.equal(gate.flatten(), gates[name].flatten()[order])
    orders = [torch.arange(30), torch.randperm(20), torch.arange(10)]
    again = made.logits(permuted(weights, orders), permuted(gates, orders), {})
    assert not torch.allclose(again["a"], logits["a"][orders[1]])


@pytest.mark.parametrize("kind", KINDS)
def test_constants_tell_nothing_of_weights(kind: str) -> None:
    weights, gates = some(MLP)
    made = reading(kind, weights, sees="constant")
    logits = made.logits(weights, gates, {})
    others, more_gates = some(MLP)
    for name, again in made.logits(others, more_gates, {}).items():
        assert torch.equal(again, logits[name])
        assert_close(again, again[0, 0].expand_as(again))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("detach", [True, False])
def test_gradients_of_weights_stay_out_of_the_reader_unless_wanted(kind: str, detach: bool) -> None:
    weights, gates = some(MLP)
    made = reading(kind, weights, schedule="epochs", detach=detach)
    variables = {name: weight.requires_grad_() for name, weight in weights.items()}
    made.logits(variables, gates, {})["b"].square().sum().backward()
    assert all((weight.grad is None) == detach for weight in weights.values())


def skipped(network: str, layers: Any = "all", **options: Any) -> str | None:
    with torch.device("meta"):
        choice = {"network": network} | ({"hidden": [9, 9, 9]} if network == "mlp" else {})
        built = NetworkChoice.model_validate(choice).build((3, 32, 32), 10)
    return Switcher.skip(SwitcherEquivariant.Config(**options), built, Scope.model_validate(layers).of(built))


@pytest.mark.parametrize("kind", KINDS)
def test_networks_without_a_chain_are_skipped_with_the_layer_that_breaks_it(kind: str) -> None:
    for network in ("mlp", "lenet-300-100", "lenet-5", "lenet-5-caffe", "vgg-16"):
        assert skipped(network, reader=kind) is None
    for network in ("resnet-18", "mobilenet"):
        assert skipped(network, "fc", reader=kind) is None
        assert skipped(network, reader="equivariant") is None
    said = f"the {kind} reader reads layers in a chain, but "
    assert skipped("resnet-18", reader=kind) == (
        said + "layer2.0.downsample.0 has 64 inputs, and layer2.0.conv2 before it 128 outputs"
    )
    assert skipped("mobilenet", reader=kind) == said + "features.1.0 is a convolution with groups"
    gap = {"layers": "all", "exclude": ["3"]}
    assert skipped("mlp", gap, reader=kind) == said + "3 between 1 and 5 is out of scope"
    reason = skipped("lenet-5", reader=kind, units="neuron")
    assert reason == "gates of neurons are for fully connected layers only, not features.0"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objective", ["gradient", "look-ahead"])
def test_a_training_meets_its_density_and_the_reader_moves(
    make_config: Any, kind: str, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods: list[Switcher] = []
    finalise = Switcher.finalise

    def watch(self: Switcher) -> None:
        methods.append(self)
        finalise(self)

    monkeypatch.setattr(Switcher, "finalise", watch)
    options = {"objective": objective, "every": 5, "reader_lr": 0.01}
    row = run_trial(make_config({"method": f"switcher-{kind}", **options}, 0.05)).row
    assert row["density"] == round(0.05 * (64 * 20 + 20 * 12 + 12 * 10)) / (64 * 20 + 20 * 12 + 12 * 10)
    assert row["method_flops"] > 0
    final = [*methods[0].readers.parameters()][-2 if kind == "graph" else -1]
    assert final.abs().max() > 1e-3


PARTS = [
    {"gate": "relu", "units": "neuron", "schedule": "epochs", "sparsity": "penalty"},
    {"gate": "relu", "schedule": "epochs", "sparsity": "none"},
    {"gate": "hard_concrete", "units": "neuron"},
    {"units": "neuron", "every": 2},
    {"sees": "shuffled", "every": 2},
    {"sees": "constant", "every": 2},
    {"sees": "constant", "prior": "none", "units": "neuron", "every": 2},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parts", PARTS, ids=lambda parts: "-".join(map(str, parts.values())))
def test_parts_go_together(make_config: Any, kind: str, parts: dict[str, Any]) -> None:
    target = parts.get("sparsity", "target") == "target"
    config = make_config(
        {"method": "switcher-equivariant", "reader": kind, "hidden": 8, **parts},
        0.2 if target else None,
        network={"network": "mlp", "hidden": [9]},
        training={"steps": 10, "batch_size": 512},
    )
    result, total = run_trial(config), 64 * 9 + 9 * 10
    weights = [result.network.get_parameter(f"{i}.weight") for i in (1, 3)]
    assert all(weight.isfinite().all() for weight in weights)
    left = sum(int(weight.count_nonzero()) for weight in weights)
    if not target:
        assert 0 < left <= total
    elif parts.get("units") == "neuron":
        assert 0.1 * total < left <= round(0.2 * total)
    else:
        assert left == round(0.2 * total)


@pytest.mark.parametrize("kind", KINDS)
def test_the_presets_are_the_switcher_with_another_reader(kind: str) -> None:
    preset = METHODS[f"switcher-{kind}"].Config().model_dump()
    assert preset == SwitcherEquivariant.Config().model_dump() | {"reader": kind, "hidden": 8}
