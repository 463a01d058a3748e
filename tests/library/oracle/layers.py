"""Every layer of the library: three steps of gradient descent on a weighted sum of its output, then its evaluation.

Writes ../figures/layers.json: the columns, and for each layer, applied as written, its starting parameters, the losses of the
steps and the weighted sum when evaluating, as PyTorch has them in double precision. Layers with noise have no losses.

    python layers.py            (needs numpy and torch)
"""
import json
import pathlib

import torch
import torch.nn.functional as F

from parameters import Parameters

torch.set_default_dtype(torch.float64)
torch.manual_seed(11)
N, P, C = 6, 3, 4
LR = 0.05
rounded = lambda t: (t * 1024).round() / 1024
columns = {"x": rounded(torch.randn(N, C)), "grid": rounded(torch.randn(N, P, C) + torch.arange(C))}
kinds = torch.tensor([2, 0, 1, 2, 4, 2])


def dense(path, i, o, phase=0.1):
    return {f"{path}.W": ([i, o], 0.8, phase, 0.0), f"{path}.b": ([o], 0.2, phase + 0.3, 0.0)}


def scaled(path, units, shift=True):
    gamma = {f"{path}.gamma": ([units], 0.5, 0.2, 1.0)}
    return gamma | ({f"{path}.beta": ([units], 0.5, 0.6, 0.0)} if shift else {})


def apply(p, path, x):
    return x @ p[f"{path}.W"] + p[f"{path}.b"]


def standard(x, axes, delta=1e-5):
    centred = x - x.mean(axes, keepdim=True)
    return centred / torch.sqrt((centred**2).mean(axes, keepdim=True) + delta)


def batch_norm(p, x, running):
    """Running averages of the biased variance, which is what the library keeps; torch's are of the unbiased one."""
    axes = tuple(range(x.dim() - 1))
    gamma, beta = p["net.layer.gamma"], p["net.layer.beta"]
    if running["training"]:
        mean, variance = x.mean(axes), ((x - x.mean(axes)) ** 2).mean(axes)
        running["mean"] = 0.8 * running.get("mean", 0.0) + 0.2 * mean.detach()
        running["variance"] = 0.8 * running.get("variance", 1.0) + 0.2 * variance.detach()
        return gamma * standard(x, axes) + beta
    return gamma * (x - running["mean"]) / torch.sqrt(running["variance"] + 1e-5) + beta


def groups(p, x, count):
    y = F.group_norm(x.movedim(-1, 1), count, p["net.layer.gamma"], p["net.layer.beta"], eps=1e-5)
    return y.movedim(1, -1)


def residual(p, x):
    return x + apply(p, "net.layer.dense_2", F.relu(apply(p, "net.layer.dense_1", F.relu(x))))


def highway(p, x):
    gate = torch.sigmoid(apply(p, "net.layer.gate", x))
    return gate * torch.tanh(apply(p, "net.layer.change", x)) + (1 - gate) * x


def weight_norm(p, x):
    return x @ torch._weight_norm(p["net.layer.V"], p["net.layer.g"], 1) + p["net.layer.b"]


def maxout(p, x):
    return apply(p, "net.layer", x).unflatten(-1, (3, 5)).max(-2).values


V = {"net.layer.V": ([C, 5], 0.8, 0.1, 0.0), "net.layer.b": ([5], 0.2, 0.4, 0.0), "net.layer.g": ([5], 0.3, 0.7, 1.0)}
PIECES = dense("net.layer", C, 15)
LINE = {"net.layer.w": ([C], 0.8, 0.1, 0.0), "net.layer.b": ([], 0.2, 0.4, 0.0)}
norm = scaled("net.layer", C)
affine = lambda p, x, _: apply(p, "net.layer", x)
# The layer as applied, the column, its parameters, its meaning, and whether it has noise in training.
LAYERS = [
    ("dense(x, 5)", "x", dense("net.layer", C, 5), affine, False),
    ("dense(x, 5)", "grid", dense("net.layer", C, 5), affine, False),
    ("affine(x)", "grid", LINE, lambda p, x, _: x @ p["net.layer.w"] + p["net.layer.b"], False),
    ("maxout(x, 5, 3)", "x", PIECES, lambda p, x, _: maxout(p, x), False),
    ("maxout(x, 5, 3)", "grid", PIECES, lambda p, x, _: maxout(p, x), False),
    ("prelu(x)", "grid", {"net.layer.a": ([C], 0.1, 0.3, 0.25)}, lambda p, x, _: F.prelu(x.movedim(-1, 1),
     p["net.layer.a"]).movedim(1, -1), False),
    ("residual(x, 5)", "x", dense("net.layer.dense_1", C, 5) | dense("net.layer.dense_2", 5, C, 0.5),
     lambda p, x, _: residual(p, x), False),
    ("dense_connection(x, 5)", "x", dense("net.layer.dense", C, 5),
     lambda p, x, _: torch.cat([x, F.relu(apply(p, "net.layer.dense", x))], -1), False),
    ("highway(x)", "x", dense("net.layer.gate", C, C) | dense("net.layer.change", C, C, 0.5),
     lambda p, x, _: highway(p, x), False),
    ("weight_norm_dense(x, 5)", "grid", V, lambda p, x, _: weight_norm(p, x), False),
    ("drop_connect(x, 5)", "x", dense("net.layer", C, 5), affine, True),
    ("noisy_dense(x, 5)", "x", dense("net.layer", C, 5), affine, True),
    ("batch_norm(x, momentum: 0.8)", "x", norm, batch_norm, False),
    ("batch_norm(x, momentum: 0.8)", "grid", norm, batch_norm, False),
    ("layer_norm(x)", "x", norm, lambda p, x, _: F.layer_norm(x, [C], p["net.layer.gamma"], p["net.layer.beta"]), False),
    ("layer_norm(x)", "grid", norm, lambda p, x, _: F.layer_norm(x, [C], p["net.layer.gamma"], p["net.layer.beta"]),
     False),
    ("rms_norm(x)", "grid", scaled("net.layer", C, shift=False),
     lambda p, x, _: F.rms_norm(x, [C], p["net.layer.gamma"], eps=1e-5), False),
    ("instance_norm(x)", "grid", norm, lambda p, x, _: p["net.layer.gamma"] * standard(x, 1) + p["net.layer.beta"],
     False),
    ("group_norm(x, 2)", "x", norm, lambda p, x, _: groups(p, x, 2), False),
    ("group_norm(x, 2)", "grid", norm, lambda p, x, _: groups(p, x, 2), False),
    ("group_norm(x, 1)", "grid", norm, lambda p, x, _: groups(p, x, 1), False),
    ("embedding(x, 3)", "kind", {"net.layer.E": ([5, 3], 1.0, 0.1, 0.0)}, lambda p, x, _: F.embedding(x, p["net.layer.E"]),
     False),
]

cases = []
for text, column, shapes, layer, noisy in LAYERS:
    x = kinds if column == "kind" else columns[column]
    parameters, running, losses = Parameters(shapes), {"training": not noisy}, []
    point = torch.tensor(parameters.start())
    probe = torch.tensor([((k + 1) * 0.7548776662466927) % 1 - 0.5
                          for k in range(layer(parameters.split(point), x, dict(running)).numel())])
    if not noisy:
        for _ in range(3):
            point.requires_grad_()
            loss = (probe * layer(parameters.split(point), x, running).flatten()).sum()
            losses.append(loss.item())
            point = (point - LR * torch.autograd.grad(loss, point)[0]).detach()
    running["training"] = False
    out = layer(parameters.split(point), x, running)
    cases.append({"layer": text, "column": column, "out": list(out.shape), "start": parameters.figures(), "lr": LR,
                  "probe": probe.tolist(), "losses": losses, "evaluated": (probe * out.flatten()).sum().item()})

figures = {
    "columns": {name: {"dims": list(t.shape), "values": t.flatten().tolist()} for name, t in columns.items()},
    "kind": kinds.tolist(),
    "cases": cases,
}
path = pathlib.Path(__file__).parent.parent / "figures" / "layers.json"
path.write_text(json.dumps(figures, indent=1) + "\n")
