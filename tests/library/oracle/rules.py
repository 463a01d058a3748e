"""Ten steps of every update rule of the library, on a quadratic and on a small net.

Writes ../figures/rules.json: the data and the starting parameters of both problems, and for each rule, written as in a `using`
clause, the parameters after ten steps as transcribed.py has them and the objective there, or at their average. Where PyTorch has a rule of the same meaning, the transcription
is held against it to 1e-12.

    python rules.py             (needs numpy and torch)
"""
import json
import math
import pathlib

import numpy as np
import torch

from transcribed import (
    adadelta, adagrad, adahessian, adam, adamax, by_norm, by_value, fista, ista, lion, momentum, nadam, nesterov, rmsprop,
    rmsprop_nesterov, sgd,
)

torch.set_default_dtype(torch.float64)
random = np.random.default_rng(3)
STEPS = 10


def rounded(a):
    """Few digits, which f32 holds exactly."""
    return np.round(a * 1024) / 1024


# ½ wᵀAw - bᵀw
root = random.normal(size=(5, 5))
A = rounded(root @ root.T / 5 + np.diag([0.1, 0.2, 0.5, 1.0, 2.0]))
b = rounded(random.normal(size=5))
w0 = rounded(random.normal(size=5))

# A net 3-4-2 with tanh, and the mean squared error
X = rounded(random.normal(size=(8, 3)))
Y = rounded(random.normal(size=(8, 2)))
SHAPES = {"net.hidden.W": (3, 4), "net.hidden.b": (4,), "net.out.W": (4, 2), "net.out.b": (2,)}
net0 = {name: rounded(random.normal(size=shape) / 2) for name, shape in SHAPES.items()}


def parts(theta):
    out, at = [], 0
    for shape in SHAPES.values():
        n = int(np.prod(shape))
        out.append(theta[at : at + n].reshape(shape))
        at += n
    return out


def net_gradient(theta):
    W, c, V, d = parts(theta)
    h = np.tanh(X @ W + c)
    r = 2 * (h @ V + d - Y) / Y.size
    back = r @ V.T * (1 - h**2)
    return np.concatenate([(X.T @ back).ravel(), back.sum(0), (h.T @ r).ravel(), r.sum(0)])


def net_loss(theta):
    W, c, V, d = parts(theta)
    return ((np.tanh(X @ W + c) @ V + d - Y) ** 2).mean()


# Start, gradient and objective of each.
PROBLEMS = {
    "bowl": (w0, lambda w: A @ w - b, lambda w: w @ A @ w / 2 - b @ w),
    "net": (np.concatenate([v.ravel() for v in net0.values()]), net_gradient, net_loss),
}

O = torch.optim
# The rule in the language, its transcription, and PyTorch's of the same meaning if there is one.
RULES = [
    ("sgd(lr: 0.1)", (sgd, dict(lr=0.1)), (O.SGD, dict(lr=0.1))),
    ("momentum(lr: 0.03)", (momentum, dict(lr=0.03)), (O.SGD, dict(lr=0.03, momentum=0.9))),
    ("momentum(lr: 0.05, alpha: 0.5)", (momentum, dict(lr=0.05, alpha=0.5)), (O.SGD, dict(lr=0.05, momentum=0.5))),
    ("nesterov(lr: 0.03)", (nesterov, dict(lr=0.03)), None),
    ("sgdw(lr: 0.05, decay: 0.3)", (momentum, dict(lr=0.05, decay=0.3)), None),
    ("adagrad(lr: 0.1)", (adagrad, dict(lr=0.1)), (O.Adagrad, dict(lr=0.1, eps=1e-7))),
    ("rmsprop(lr: 0.05)", (rmsprop, dict(lr=0.05)), None),
    ("rmsprop(lr: 0.02, rho: 0.5, delta: 0.1)", (rmsprop, dict(lr=0.02, rho=0.5, delta=0.1)), None),
    ("rmsprop_nesterov(lr: 0.01)", (rmsprop_nesterov, dict(lr=0.01)), None),
    ("adadelta", (adadelta, {}), (O.Adadelta, dict(lr=1.0, rho=0.95, eps=1e-6))),
    ("adadelta(lr: 0.5, rho: 0.8, delta: 1e-3)", (adadelta, dict(lr=0.5, rho=0.8, delta=1e-3)),
     (O.Adadelta, dict(lr=0.5, rho=0.8, eps=1e-3))),
    ("adam", (adam, {}), (O.Adam, {})),
    ("adam(lr: 0.05, rho1: 0.8, rho2: 0.95, delta: 1e-4)", (adam, dict(lr=0.05, rho1=0.8, rho2=0.95, delta=1e-4)),
     (O.Adam, dict(lr=0.05, betas=(0.8, 0.95), eps=1e-4))),
    ("adamw(lr: 0.05, decay: 0.2)", (adam, dict(lr=0.05, decay=0.2)), (O.AdamW, dict(lr=0.05, weight_decay=0.2))),
    ("amsgrad(lr: 0.05, rho2: 0.9)", (adam, dict(lr=0.05, rho2=0.9, greatest=True)),
     (O.Adam, dict(lr=0.05, betas=(0.9, 0.9), amsgrad=True))),
    ("adamax(lr: 0.05)", (adamax, dict(lr=0.05)), (O.Adamax, dict(lr=0.05))),
    ("nadam(lr: 0.05)", (nadam, dict(lr=0.05)), (O.NAdam, dict(lr=0.05))),
    ("lion(lr: 0.02, decay: 0.1)", (lion, dict(lr=0.02, decay=0.1)), None),
    ("momentum_clip_norm(lr: 0.05, bound: 0.2)", (momentum, dict(lr=0.05, clip=by_norm(0.2))), None),
    ("momentum_clip_value(lr: 0.05, bound: 0.05)", (momentum, dict(lr=0.05, clip=by_value(0.05))), None),
    ("adam_clip_norm(lr: 0.05, bound: 0.1)", (adam, dict(lr=0.05, clip=by_norm(0.1))), None),
    ("ista(lr: 0.1, alpha: 0.3)", (ista, dict(lr=0.1, alpha=0.3)), None),
    ("fista(lr: 0.1, alpha: 0.3)", (fista, dict(lr=0.1, alpha=0.3)), None),
]


def run(rule, problem):
    (function, options), (start, grad, _) = rule, PROBLEMS[problem]
    points = function(start, grad, **options)
    return [next(points) for _ in range(STEPS)]


def torch_last(rule, problem):
    (kind, options), (start, grad, _) = rule, PROBLEMS[problem]
    p = torch.tensor(start, requires_grad=True)
    optimizer = kind([p], **options)
    for _ in range(STEPS):
        p.grad = torch.tensor(grad(p.detach().numpy()))
        optimizer.step()
    return p.detach().numpy()


def scheduled(lr):
    """Gradient descent whose rate is a function of the step."""

    def rule(p, grad):
        for k in range(STEPS):
            p = p - lr(k) * grad(p)
            yield p

    return rule, {}


def cosine(k, start, end, tau):
    return end + (start - end) * (1 + math.cos(math.pi * min(k / tau, 1))) / 2


# Rates by the step.
RULES += [(f"sgd(lr: {text})", scheduled(lr), None) for text, lr in [
    ("linear(step, start: 0.2, end: 0.02, tau: 6)", lambda k: 0.2 - 0.18 * min(k / 6, 1)),
    ("stepwise(step, start: 0.2, factor: 0.5, every: 3)", lambda k: 0.2 * 0.5 ** (k // 3)),
    ("exponential(step, start: 0.2, factor: 0.5, every: 3)", lambda k: 0.2 * 0.5 ** (k / 3)),
    ("inverse_time(step, start: 0.2, decay: 0.5)", lambda k: 0.2 / (1 + 0.5 * k)),
    ("cosine(step, start: 0.2, end: 0.02, tau: 7)", lambda k: cosine(k, 0.2, 0.02, 7)),
    ("cosine_restarts(step, start: 0.2, end: 0.02, tau: 4)", lambda k: cosine(k % 4, 0.2, 0.02, 4)),
    ("0.2 * warm_up(step, tau: 5)", lambda k: 0.2 * min((k + 1) / 5, 1)),
    ("one_cycle(step, peak: 0.2, tau: 9, rise: 1/3)",
     lambda k: cosine(k, 0.2 / 25, 0.2, 3) if k < 3 else cosine(k - 3, 0.2, 0.2 / 10000, 6)),
]]
# What evaluation sees in the place of the parameters, of all points so far and the start.
AVERAGES = [
    ("polyak", lambda points, _: np.mean(points, 0)),
    ("polyak(after: 4)", lambda points, _: np.mean(points[4:], 0)),
    ("ema(rho: 0.8)", lambda points, start: 0.8**STEPS * start + weighted(points, 0.8)),
    ("unbiased_ema(rho: 0.8)", lambda points, _: weighted(points, 0.8) / (1 - 0.8**STEPS)),
]


def weighted(points, rho):
    return sum((1 - rho) * rho ** (STEPS - 1 - k) * p for k, p in enumerate(points))


def found(problem, point):
    tensors = zip(SHAPES, parts(point)) if problem == "net" else [("bowl.w", point)]
    return {name: v.ravel().tolist() for name, v in tensors}


figures = []
for text, rule, peer in RULES:
    figures.append({"rule": text})
    for problem, (_, _, objective) in PROBLEMS.items():
        point = run(rule, problem)[-1]
        if peer:
            error = np.abs(point - torch_last(peer, problem)).max()
            assert error < 1e-12, (text, problem, error)
        figures[-1][problem] = found(problem, point) | {"loss": [objective(point)]}
for text, average in AVERAGES:
    figures.append({"rule": f"momentum(lr: 0.03)\n    average  {text}"})
    for problem, (start, _, objective) in PROBLEMS.items():
        points = run((momentum, dict(lr=0.03)), problem)
        figures[-1][problem] = found(problem, points[-1]) | {"loss": [objective(average(points, start))]}

# One rule for some parameters and another for the rest: both see the gradient at all of them.
start, gradient, objective = PROBLEMS["net"]
first, point = sum(v.size for v in list(net0.values())[:2]), start
here = lambda part: lambda _: gradient(point)[part]
rules = [(slice(0, first), momentum, dict(lr=0.1)), (slice(first, None), adam, dict(lr=0.05))]
movers = [(part, rule(start[part], here(part), **options)) for part, rule, options in rules]
for _ in range(STEPS):
    moved = [(part, next(points)) for part, points in movers]
    point = np.concatenate([p for _, p in moved])
figures.append({"rule": "momentum(lr: 0.1) for net.hidden\n    using    adam(lr: 0.05)",
                "net": found("net", point) | {"loss": [objective(point)]}})


# Curvatures by random signs are those of the axes where the Hessian is diagonal.
axes = np.diag(A)
points = adahessian(w0, lambda w: axes * w - b, axes, lr=0.3, delta=1e-2)
point = [next(points) for _ in range(STEPS)][-1]
figures.append({"rule": "adahessian(lr: 0.3, delta: 1e-2)",
                "axes": {"bowl.w": point.tolist(), "loss": [point @ (axes * point) / 2 - b @ point]}})


def tensor(a):
    return {"dims": list(a.shape), "values": a.ravel().tolist()}


path = pathlib.Path(__file__).parent.parent / "figures" / "rules.json"
path.write_text(json.dumps({
    "bowl": {"columns": {"a": tensor(A), "e": tensor(np.eye(5)), "b": tensor(b)}, "start": {"bowl.w": tensor(w0)}},
    "axes": {"columns": {"a": tensor(np.diag(axes)), "e": tensor(np.eye(5)), "b": tensor(b)}, "start": {"bowl.w": tensor(w0)}},
    "net": {"columns": {"x": tensor(X), "y": tensor(Y)}, "start": {name: tensor(v) for name, v in net0.items()}},
    "rules": figures,
}, indent=1) + "\n")
