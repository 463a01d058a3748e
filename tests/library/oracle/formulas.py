"""Figures for the losses, penalties, metrics and activations of the library.

Writes ../figures/formulas.json: the columns that the formulas read, and for each formula, written in the language, its value and
its derivative along a direction, as PyTorch has them in double precision. Where PyTorch has the function itself, in full
precision, it is used; the others are written out here from their definitions.

    python formulas.py          (needs torch)
"""
import json
import math
import pathlib

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(7)

N, K, D = 6, 5, 4


def rounded(t):
    """Few digits, so that the file is read easily and f32 holds nearly the same numbers."""
    return (t * 1024).round() / 1024


columns = {
    "z": rounded(3 * torch.randn(N, K)),
    "z2": rounded(torch.randn(N, K)),
    "a": rounded(torch.randn(N, D)),
    "b": rounded(torch.randn(N, D)),
    "c": rounded(torch.randn(N, D)),
    "h": rounded(0.1 + 0.8 * torch.rand(N, D)),
    "m": rounded(0.1 + 0.8 * torch.rand(N, D)),
    "u": torch.tensor([1.25, -0.5, 2.0, -1.75, 0.375, 1.5]),
    "v": rounded(torch.randn(N)),
    "q": rounded(torch.softmax(torch.randn(N, K), 1)),
    "grid": rounded(torch.randn(N, 3, D)),
    "far": torch.tensor([-1e4, -30.0, -2.5, 2.5, 30.0, 1e4]),
}
columns["q"] = columns["q"] / columns["q"].sum(1, keepdim=True)
p = columns["q"].flip(0).clone()
p[2, 1] += p[2, 3]
p[2, 3] = 0.0
columns["p"] = p
direction = {f"d{name}": rounded(torch.randn(t.shape)) for name, t in columns.items()}
label = torch.tensor([1, 4, 0, 2, 4, 1])
sign = torch.tensor([1.0, -1.0, -1.0, 1.0, 1.0, -1.0])
bit = (sign + 1) / 2
count = torch.tensor([0.0, 3.0, 1.0, 2.0, 5.0, 1.0])
constants = {"sign": sign, "bit": bit, "count": count}
log_softmax = lambda z: torch.log_softmax(z, -1)
chosen = lambda t: t[torch.arange(N), label]
hot = F.one_hot(label, K).double()


def kl(p, q):
    return torch.where(p > 0, p * (torch.log(torch.where(p > 0, p, 1.0)) - torch.log(q)), 0.0).sum(-1).mean()


def smooth(z, eps):
    targets = torch.full((N, K), eps / (K - 1)).scatter(1, label[:, None], 1 - eps)
    return -(targets * log_softmax(z)).sum(1).mean()


def crammer(z):
    rest = z.masked_fill(hot.bool(), -math.inf).max(1).values
    return torch.relu(1 + rest - chosen(z)).mean()


def contrastive(a, b, y, margin):
    d = (a - b).norm(dim=1)
    return (0.5 * (1 - y) * d**2 + 0.5 * y * torch.relu(margin - d) ** 2).mean()


def pinball(a, y, tau):
    r = y - a
    return torch.maximum(tau * r, (tau - 1) * r).mean()


def bernoulli_kl(p, q):
    return (p * torch.log(p / q) + (1 - p) * torch.log((1 - p) / (1 - q))).mean()


def batch_statistics(x, axes, delta=1e-5):
    mu = x.mean(axes, keepdim=True)
    return (x - mu) / torch.sqrt(((x - mu) ** 2).mean(axes, keepdim=True) + delta)


# The derivative is taken with respect to the first name; the directions are the columns dNAME.
a, b, c, z, z2, h, m, u, v = ("a", "b", "c", "z", "z2", "h", "m", "u", "v")
formulas = [
    # losses
    ("cross_entropy(z, label)", [z], lambda z: F.cross_entropy(z, label)),
    ("soft_cross_entropy(z, p)", [z, "p"], lambda z, p: F.cross_entropy(z, p)),
    ("cross_entropy_smooth(z, label)", [z], lambda z: smooth(z, 0.1)),
    ("cross_entropy_smooth(z, label, eps: 0.3)", [z], lambda z: smooth(z, 0.3)),
    ("weighted_cross_entropy(z, label, mean(q over N))", [z, "q"],
     lambda z, q: F.cross_entropy(z, label, weight=q.mean(0), reduction="sum") / N),
    ("focal(z, label)", [z], lambda z: (-((1 - chosen(log_softmax(z)).exp()) ** 2) * chosen(log_softmax(z))).mean()),
    ("focal(z, label, gamma: 0.5)", [z],
     lambda z: (-((1 - chosen(log_softmax(z)).exp()) ** 0.5) * chosen(log_softmax(z))).mean()),
    ("perplexity(z, label)", [z], lambda z: F.cross_entropy(z, label).exp()),
    ("binary_cross_entropy(u, bit)", [u], lambda u: F.binary_cross_entropy_with_logits(u, bit)),
    ("unit_cross_entropy(a, h)", [a, h], lambda a, h: F.binary_cross_entropy_with_logits(a, h, reduction="sum") / N),
    ("quadratic(a, b)", [a, b], lambda a, b: 0.5 * ((a - b) ** 2).sum(1).mean()),
    ("quadratic(u, v)", [u, v], lambda a, b: 0.5 * ((a - b) ** 2).mean()),
    ("mse(a, b)", [a, b], F.mse_loss),
    ("mae(a, b)", [a, b], F.l1_loss),
    ("rmse(a, b)", [a, b], lambda a, b: F.mse_loss(a, b).sqrt()),
    ("huber(a, b)", [a, b], F.huber_loss),
    ("huber(a, b, delta: 0.3)", [a, b], lambda a, b: F.huber_loss(a, b, delta=0.3)),
    ("log_cosh(a, b)", [a, b], lambda a, b: torch.log(torch.cosh(a - b)).mean()),
    ("pinball(u, v, tau: 0.2)", [u, v], lambda a, y: pinball(a, y, 0.2)),
    ("poisson_nll(u, count)", [u], lambda u: F.poisson_nll_loss(u, count)),
    ("gaussian_nll(a, b, c)", [a, b, c], lambda a, s, y: F.gaussian_nll_loss(a, y, s.exp(), eps=0.0)),
    ("gaussian_nll(a, b, c)", [b, a, c], lambda s, a, y: F.gaussian_nll_loss(a, y, s.exp(), eps=0.0)),
    ("kl_divergence(p, q)", ["q", "p"], lambda q, p: F.kl_div(q.log(), p, reduction="batchmean")),
    ("kl_logits(z, z2)", [z, z2],
     lambda a, b: F.kl_div(log_softmax(b), log_softmax(a), reduction="batchmean", log_target=True)),
    ("kl_logits(z, z2)", [z2, z],
     lambda b, a: F.kl_div(log_softmax(b), log_softmax(a), reduction="batchmean", log_target=True)),
    ("kl_bernoulli(h, m)", [h, m], bernoulli_kl),
    ("kl_bernoulli(h, m)", [m, h], lambda q, p: bernoulli_kl(p, q)),
    ("kl_normal(a, b)", [a, b], lambda a, s: 0.5 * (a**2 + s.exp() - 1 - s).sum(1).mean()),
    ("hinge(u, sign)", [u], lambda u: torch.relu(1 - sign * u).mean()),
    ("squared_hinge(u, sign)", [u], lambda u: (torch.relu(1 - sign * u) ** 2).mean()),
    ("multiclass_hinge(z, label)", [z], lambda z: F.multi_margin_loss(z, label) * K),
    ("multiclass_hinge(z, label, margin: 0.4)", [z], lambda z: F.multi_margin_loss(z, label, margin=0.4) * K),
    ("crammer_singer(z, label)", [z], crammer),
    ("triplet(a, b, c)", [a, b, c],
     lambda a, p, n: torch.relu(((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + 0.2).mean()),
    ("contrastive(a, b, bit, margin: 3)", [a, b], lambda a, b: contrastive(a, b, bit, 3.0)),
    ("sum(v * cosine_similarity(a, b))", [a, b, v], lambda a, b, v: (v * F.cosine_similarity(a, b)).sum()),
    ("cosine_distance(a, b)", [a, b], lambda a, b: (1 - F.cosine_similarity(a, b)).mean()),
    # penalties of activations
    ("l1_activation(a)", [a], lambda a: a.abs().sum(1).mean()),
    ("student_t(a)", [a], lambda a: torch.log1p(a**2).sum(1).mean()),
    ("kl_sparsity(h, rho: 0.1)", [h],
     lambda h: D * bernoulli_kl(torch.full((D,), 0.1), h.mean(0))),
    ("mean_activation(h)", [h], lambda h: ((h.mean(0) - 0.01) ** 2).sum()),
    ("group_lasso(a)", [a], lambda a: a.norm(dim=0).sum()),
    ("group_lasso(grid)", ["grid"], lambda g: g.reshape(N * 3, D).norm(dim=0).sum()),
    ("tying(a, b)", [a, b], lambda a, b: ((a - b) ** 2).sum()),
    # metrics, which have no derivative
    ("accuracy(z, label)", [z], lambda z: (z.argmax(1) == label).double().mean()),
    ("top_k_accuracy(z, label, k: 1)", [z], lambda z: (z.argmax(1) == label).double().mean()),
    ("top_k_accuracy(z, label, k: 3)", [z],
     lambda z: (z.topk(3).indices == label[:, None]).any(1).double().mean()),
    ("binary_accuracy(u, bit)", [u], lambda u: ((u > 0) == (bit > 0.5)).double().mean()),
    ("precision(u, bit)", [u], lambda u: bit[u > 0].mean()),
    ("precision(-abs(u), bit)", [u], lambda u: torch.tensor(0.0)),
    ("recall(u, bit)", [u], lambda u: (u > 0)[bit > 0.5].double().mean()),
    ("f1(u, bit)", [u],
     lambda u: 2 / (1 / bit[u > 0].mean() + 1 / (u > 0)[bit > 0.5].double().mean())),
    ("macro_precision(z, label)", [z], lambda z: macro(z)[0]),
    ("macro_recall(z, label)", [z], lambda z: macro(z)[1]),
    ("macro_f1(z, label)", [z], lambda z: macro(z)[2]),
    ("auc(u, bit)", [u], lambda u: area(u)),
    ("auc(floor(u), bit)", [u], lambda u: area(u.floor())),
    ("r_squared(u, v)", [u, v], lambda u, v: 1 - ((v - u) ** 2).sum() / ((v - v.mean()) ** 2).sum()),
    ("sum(confusion(z, label)^2)", [z], lambda z: (confusion(z) ** 2).sum()),
    ("sum(confusion(z, label) @ mean(q over N) * mean(p over N))", [z, "q", "p"],
     lambda z, q, p: p.mean(0) @ confusion(z) @ q.mean(0)),
    # activations
    ("sum(da * relu(a))", [a], lambda a: probe(F.relu(a))),
    ("sum(da * leaky_relu(a))", [a], lambda a: probe(F.leaky_relu(a))),
    ("sum(da * elu(a, alpha: 0.7))", [a], lambda a: probe(F.elu(a, 0.7))),
    ("sum(da * celu(a, alpha: 0.7))", [a], lambda a: probe(torch.where(a > 0, a, 0.7 * torch.expm1(a / 0.7)))),
    ("sum(da * selu(a))", [a], lambda a: probe(F.selu(a))),
    ("sum(da * gelu(a))", [a], lambda a: probe(F.gelu(a))),
    ("sum(da * gelu_tanh(a))", [a], lambda a: probe(F.gelu(a, approximate="tanh"))),
    ("sum(da * silu(a))", [a], lambda a: probe(F.silu(a))),
    ("sum(da * mish(a))", [a], lambda a: probe(F.mish(a))),
    ("sum(da * softsign(a))", [a], lambda a: probe(F.softsign(a))),
    ("sum(da * relu6(4 * a))", [a], lambda a: probe(F.relu6(4 * a))),
    ("sum(da * hard_tanh(a))", [a], lambda a: probe(F.hardtanh(a))),
    ("sum(da * hard_sigmoid(4 * a))", [a], lambda a: probe((4 * a / 6 + 0.5).clamp(0, 1))),
    ("sum(da * hard_swish(4 * a))", [a], lambda a: probe(F.hardswish(4 * a))),
    ("sum(da * scaled_tanh(a))", [a], lambda a: probe(1.7159 * torch.tanh(2 / 3 * a))),
    ("sum(da * log_sigmoid(a))", [a], lambda a: probe(F.logsigmoid(a))),
    ("sum(da * softplus(a))", [a], lambda a: probe(F.softplus(a))),
    ("sum(dz * softmax(z))", [z], lambda z: (direction["dz"] * F.softmax(z, 1)).sum()),
    ("sum(dz * log_softmax(z))", [z], lambda z: (direction["dz"] * F.log_softmax(z, 1)).sum()),
    ("sum(crelu(a)^2) + sum(crelu(a) @ concat(mean(b over N), mean(c over N)))", [a, b, c],
     lambda a, b, c: (a**2).sum()
     + (torch.cat([F.relu(a), F.relu(-a)], 1) @ torch.cat([b.mean(0), c.mean(0)])).sum()),
]
# The ends of the range, where a careless formula overflows.
for name in ["relu", "elu", "selu", "gelu", "silu", "mish", "softsign", "softplus", "tanh", "sigmoid", "celu"]:
    function = {"tanh": torch.tanh, "sigmoid": torch.sigmoid}.get(name) or getattr(F, name)
    formulas.append((f"sum(dfar * {name}(far))", ["far"],
                     lambda t, f=function: (direction["dfar"] * f(t)).sum()))
formulas.append(("sum(dfar * log_sigmoid(far))", ["far"], lambda t: (direction["dfar"] * F.logsigmoid(t)).sum()))
formulas.append(("sum(dfar * hard_swish(far))", ["far"], lambda t: (direction["dfar"] * F.hardswish(t)).sum()))


def probe(t):
    return (direction["da"] * t).sum()


def confusion(z):
    counts = torch.zeros(K, K)
    for truth, taken in zip(label, z.argmax(1)):
        counts[truth, taken] += 1
    return counts


def macro(z):
    counts = confusion(z)
    hits, taken, truth = counts.diagonal(), counts.sum(0), counts.sum(1)
    ratio = lambda top, bottom: torch.where(bottom > 0, top / bottom.clamp(min=1), 0.0).mean()
    return ratio(hits, taken), ratio(hits, truth), ratio(2 * hits, taken + truth)


def area(u):
    pairs = [(i, j) for i in range(N) for j in range(N) if bit[i] > 0.5 > bit[j]]
    return torch.tensor(sum(1.0 if u[i] > u[j] else 0.5 if u[i] == u[j] else 0.0 for i, j in pairs) / len(pairs))


cases = []
for text, names, function in formulas:
    inputs = [columns[name].clone() for name in names]
    inputs[0].requires_grad_()
    value = function(*inputs)
    slope = 0.0
    if value.requires_grad:
        slope = (torch.autograd.grad(value, inputs[0])[0] * direction[f"d{names[0]}"]).sum().item()
    cases.append({"formula": text, "by": names[0], "value": value.item(), "slope": slope})

figures = {
    "columns": {name: {"dims": list(t.shape), "values": t.flatten().tolist()}
                for name, t in (columns | direction | constants).items()},
    "labels": {"label": {"classes": K, "values": label.tolist()}},
    "cases": cases,
}
path = pathlib.Path(__file__).parent.parent / "figures" / "formulas.json"
path.write_text(json.dumps(figures, indent=1) + "\n")
