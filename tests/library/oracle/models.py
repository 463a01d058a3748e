"""The losses of a hundred steps of each program in ../models, as PyTorch has them in double precision.

Writes ../figures/models.json: for each program the shapes and scales of the parameters it starts from, and the loss of every
step. The nets are written in PyTorch, parameters start as parameters.py says, the rules are those of transcribed.py, batches follow
the order of the rows.

    python models.py            (needs numpy and torch)
"""
import csv
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

import transcribed as rules
from parameters import Parameters

torch.set_default_dtype(torch.float64)
here = pathlib.Path(__file__).parent
STEPS = 100


def table(name, target):
    with open(here / "../../../examples/data" / f"{name}.csv") as file:
        rows = list(csv.DictReader(file))
    columns = {key: torch.tensor([float(row[key]) for row in rows]) for key in rows[0]}
    return columns | {"x": torch.stack([v for key, v in columns.items() if key != target], 1)}


DIGITS, DIABETES = table("digits", "label"), table("diabetes", "progression")


def dense(path, inputs, outputs, phase):
    bound = (6 / (inputs + outputs)) ** 0.5
    return {f"{path}.W": ([inputs, outputs], bound, phase, 0.0), f"{path}.b": ([outputs], 0.1, phase + 0.3, 0.0)}


def apply(p, path, x):
    return x @ p[f"{path}.W"] + p[f"{path}.b"]


def cross_entropy(z, batch):
    return F.cross_entropy(z, batch["label"].long())


# ------------------------------------------------------------------------------------------- a loss for each program


def tanh(p, d):
    return cross_entropy(apply(p, "model.out", torch.tanh(apply(p, "model.hidden", d["x"] / 16))), d)


def relu(p, d):
    lower = F.relu(apply(p, "model.lower", d["x"] / 16))
    return cross_entropy(apply(p, "model.out", F.relu(apply(p, "model.upper", lower))), d)


def gelu(p, d):
    return cross_entropy(apply(p, "model.out", F.gelu(apply(p, "model.hidden", d["x"] / 16))), d)


def softmax(p, d):
    z = torch.log_softmax(apply(p, "model.out", d["x"] / 16), 1)
    targets = torch.full_like(z, 0.1 / 9).scatter(1, d["label"].long()[:, None], 0.9)
    return -(targets * z).sum(1).mean() + 0.005 * (p["model.out.W"] ** 2).sum()


def batch_norm(p, d):
    h = apply(p, "model.hidden", d["x"] / 16)
    h = F.batch_norm(h, None, None, p["model.norm_1.gamma"], p["model.norm_1.beta"], training=True, eps=1e-5)
    return cross_entropy(apply(p, "model.out", F.relu(h)), d)


def layer_norm(p, d):
    h = apply(p, "model.hidden", d["x"] / 16)
    h = F.layer_norm(h, [24], p["model.norm_1.gamma"], p["model.norm_1.beta"], eps=1e-5)
    return cross_entropy(apply(p, "model.out", F.silu(h)), d)


def autoencoder(p, d):
    h = torch.sigmoid(apply(p, "encoder.code", d["x"] / 16))
    y = torch.sigmoid(apply(p, "decoder.image", h))
    q = h.mean(0)
    sparsity = (0.1 * torch.log(0.1 / q) + 0.9 * torch.log(0.9 / (1 - q))).sum()
    return 0.5 * ((y - d["x"] / 16) ** 2).sum(1).mean() + 0.1 * sparsity


def contractive(p, d):
    x = d["x"] / 16
    h = torch.sigmoid(apply(p, "encoder.code", x))
    y = torch.sigmoid(apply(p, "decoder.image", h))
    # ∂h_k/∂x_i = h_k (1 - h_k) W_ik / 16
    square = ((h * (1 - h)) ** 2) @ (p["encoder.code.W"] ** 2).sum(0) / 256
    return 0.5 * ((y - x) ** 2).sum(1).mean() + 20 * square.mean()


def input_gradient(p, d):
    x = d["x"].clone().requires_grad_()
    ce = cross_entropy(apply(p, "model.out", torch.tanh(apply(p, "model.hidden", x / 16))), d)
    (slope,) = torch.autograd.grad(len(x) * ce, x, create_graph=True)
    return ce + 3 * (slope**2).sum(1).mean()


def residual(p, d):
    h = apply(p, "model.start", d["x"] / 16)
    for block in ["model.first", "model.second"]:
        h = h + apply(p, f"{block}.dense_2", F.relu(apply(p, f"{block}.dense_1", F.relu(h))))
    return cross_entropy(apply(p, "model.out", h), d)


def maxout(p, d):
    pieces = apply(p, "model.hidden", d["x"] / 16).unflatten(1, (3, 12))
    return cross_entropy(apply(p, "model.out", pieces.max(1).values), d)


def embedding(p, d):
    seen = [F.embedding(d[c].long(), p[f"model.{name}.E"])
            for name, c in [("left", "p33"), ("mid", "p42"), ("right", "p26")]]
    return cross_entropy(apply(p, "model.out", torch.tanh(torch.cat(seen, 1))), d)


def tied(p, d):
    x, W = d["x"] / 16, p["model.code.W"]
    h = torch.tanh(apply(p, "model.code", x))
    soft = ((p["model.code.W"].T - p["other.image.W"]) ** 2).sum()
    y = torch.sigmoid(h @ W.T + p["model.b"])
    return 0.5 * ((y - x) ** 2).sum(1).mean() + F.mse_loss(apply(p, "other.image", h), x) + 0.01 * soft \
        + 0.001 * W.norm(dim=0).sum()


def two_heads(p, d):
    h = torch.tanh(apply(p, "trunk.hidden", d["x"] / 100))
    line = lambda net: h @ p[f"{net}.line.w"] + p[f"{net}.line.b"]
    regression = F.mse_loss(line("outcome"), d["progression"] / 100)
    return regression + 0.5 * F.binary_cross_entropy_with_logits(line("sex_of"), d["sex"] - 1)


def weight_norm(p, d):
    def layer(path, x):
        W = torch._weight_norm(p[f"{path}.V"], p[f"{path}.g"], 1)
        return x @ W + p[f"{path}.b"]

    z = torch.log_softmax(layer("model.out", F.mish(layer("model.hidden", d["x"] / 16))), 1)
    log_p = z.gather(1, d["label"].long()[:, None])[:, 0]
    return (-((1 - log_p.exp()) ** 2) * log_p).mean()


def normed(path, inputs, outputs, phase):
    shapes = dense(path, inputs, outputs, phase)
    shapes[f"{path}.V"] = shapes.pop(f"{path}.W")
    shapes[f"{path}.g"] = ([outputs], 0.2, phase + 0.6, 1.0)
    return shapes


def scaled(path, units, phase):
    return {f"{path}.gamma": ([units], 0.2, phase, 1.0), f"{path}.beta": ([units], 0.1, phase + 0.5, 0.0)}


def perceptron(inputs=64, hidden=24):
    return dense("model.hidden", inputs, hidden, 0.1) | dense("model.out", hidden, 10, 0.7)


def line(path, inputs, phase):
    return {f"{path}.line.w": ([inputs], 0.5, phase, 0.0), f"{path}.line.b": ([], 0.1, phase, 0.0)}


# loss, parameters, rule and its options, data, rows of a batch
PROGRAMS = [
    (tanh, perceptron(), (rules.momentum, dict(lr=0.02)), DIGITS, 60),
    (relu, dense("model.lower", 64, 24, 0.1) | dense("model.upper", 24, 16, 0.4) | dense("model.out", 16, 10, 0.7),
     (rules.nesterov, dict(lr=0.01)), DIGITS, 60),
    (gelu, perceptron(), (rules.adam, dict(lr=0.01)), DIGITS, 60),
    (softmax, dense("model.out", 64, 10, 0.7), (rules.adagrad, dict(lr=0.05)), DIGITS, 60),
    (batch_norm, perceptron() | scaled("model.norm_1", 24, 0.2), (rules.rmsprop, dict(lr=0.002)), DIGITS, 60),
    (layer_norm, perceptron() | scaled("model.norm_1", 24, 0.2), (rules.adam, dict(lr=0.01, decay=0.1)), DIGITS, 60),
    (autoencoder, dense("encoder.code", 64, 16, 0.1) | dense("decoder.image", 16, 64, 0.7), (rules.adadelta, {}),
     DIGITS, 60),
    (contractive, dense("encoder.code", 64, 16, 0.1) | dense("decoder.image", 16, 64, 0.7), (rules.lion, dict(lr=0.002)),
     DIGITS, 60),
    (input_gradient, perceptron(), (rules.adam, dict(lr=0.01, greatest=True)), DIGITS, 60),
    (residual, dense("model.start", 64, 16, 0.1) | dense("model.first.dense_1", 16, 12, 0.2)
     | dense("model.first.dense_2", 12, 16, 0.3) | dense("model.second.dense_1", 16, 12, 0.4)
     | dense("model.second.dense_2", 12, 16, 0.5) | dense("model.out", 16, 10, 0.7),
     (rules.nadam, dict(lr=0.005)), DIGITS, 60),
    (maxout, dense("model.hidden", 64, 36, 0.1) | dense("model.out", 12, 10, 0.7), (rules.rmsprop_nesterov, dict(lr=0.001)), DIGITS, 60),
    (embedding, {f"model.{name}.E": ([17, 4], 1.0, 0.2 * k, 0.0) for k, name in enumerate(["left", "mid", "right"])}
     | dense("model.out", 12, 10, 0.7), (rules.adamax, dict(lr=0.05)), DIGITS, 60),
    (tied, dense("model.code", 64, 12, 0.1) | {"model.b": ([64], 0.1, 0.2, 0.0)} | dense("other.image", 12, 64, 0.5),
     (rules.momentum, dict(lr=0.02, clip=rules.by_value(0.05))), DIGITS, 60),
    (two_heads, dense("trunk.hidden", 10, 8, 0.1) | line("outcome", 8, 0.3) | line("sex_of", 8, 0.8),
     (rules.momentum, dict(lr=0.05, decay=0.02)), DIABETES, 40),
    (weight_norm, normed("model.hidden", 64, 24, 0.1) | normed("model.out", 24, 10, 0.7),
     (rules.adam, dict(lr=0.01, clip=rules.by_norm(0.1))), DIGITS, 60),
]


def batches(data, size):
    n = len(data["x"])
    while True:
        for k in range(0, n, size):
            yield {name: column[k : k + size] for name, column in data.items()}


def losses(loss, shapes, rule, data, size):
    """The loss where each step takes its gradient."""
    parameters, feed, found = Parameters(shapes), batches(data, size), []

    def gradient(vector):
        point = torch.tensor(vector, requires_grad=True)
        value = loss(parameters.split(point), next(feed))
        found.append(value.item())
        return torch.autograd.grad(value, point)[0].numpy()

    points = rule[0](parameters.start(), gradient, **rule[1])
    for _ in range(STEPS):
        next(points)
    return found


figures = {}
for loss, shapes, *rest in PROGRAMS:
    figures[loss.__name__] = {"start": Parameters(shapes).figures(), "losses": losses(loss, shapes, *rest)}
(here / "../figures/models.json").write_text(json.dumps(figures, indent=1) + "\n")
