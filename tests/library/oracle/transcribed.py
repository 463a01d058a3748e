"""The update rules of the library in NumPy, from the sources that lang/std names.

Each is a generator of points, rule(start, gradient, **options), on one flat vector; it asks for the gradient once a step.
"""
import numpy as np


def sgd(p, grad, lr):
    while True:
        p = p - lr * grad(p)
        yield p


def momentum(p, grad, lr, alpha=0.9, decay=0.0, clip=lambda g: g):
    v = np.zeros_like(p)
    while True:
        v = alpha * v - lr * clip(grad(p))
        p = p + v - lr * decay * p
        yield p


def nesterov(p, grad, lr, alpha=0.9):
    v = np.zeros_like(p)
    while True:
        v = alpha * v - lr * grad(p + alpha * v)
        p = p + v
        yield p


def adagrad(p, grad, lr, delta=1e-7):
    r = np.zeros_like(p)
    while True:
        g = grad(p)
        r = r + g**2
        p = p - lr * g / (delta + np.sqrt(r))
        yield p


def rmsprop(p, grad, lr, rho=0.9, delta=1e-6):
    r = np.zeros_like(p)
    while True:
        g = grad(p)
        r = rho * r + (1 - rho) * g**2
        p = p - lr * g / np.sqrt(delta + r)
        yield p


def rmsprop_nesterov(p, grad, lr, alpha=0.9, rho=0.9, delta=1e-6):
    r, v = np.zeros_like(p), np.zeros_like(p)
    while True:
        g = grad(p + alpha * v)
        r = rho * r + (1 - rho) * g**2
        v = alpha * v - lr * g / np.sqrt(delta + r)
        p = p + v
        yield p


def adadelta(p, grad, lr=1.0, rho=0.95, delta=1e-6):
    squares, changes = np.zeros_like(p), np.zeros_like(p)
    while True:
        g = grad(p)
        squares = rho * squares + (1 - rho) * g**2
        step = np.sqrt(changes + delta) / np.sqrt(squares + delta) * g
        changes = rho * changes + (1 - rho) * step**2
        p = p - lr * step
        yield p


def adam(p, grad, lr=1e-3, rho1=0.9, rho2=0.999, delta=1e-8, decay=0.0, greatest=False, clip=lambda g: g):
    s, r, top, t = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p), 0
    while True:
        g = clip(grad(p))
        t += 1
        s = rho1 * s + (1 - rho1) * g
        r = rho2 * r + (1 - rho2) * g**2
        top = np.maximum(top, r) if greatest else r
        p = p - lr * decay * p - lr * (s / (1 - rho1**t)) / (np.sqrt(top / (1 - rho2**t)) + delta)
        yield p


def adamax(p, grad, lr, rho1=0.9, rho2=0.999, delta=1e-8):
    s, u, t = np.zeros_like(p), np.zeros_like(p), 0
    while True:
        g = grad(p)
        t += 1
        s = rho1 * s + (1 - rho1) * g
        u = np.maximum(rho2 * u, np.abs(g) + delta)
        p = p - lr / (1 - rho1**t) * s / u
        yield p


def nadam(p, grad, lr, rho1=0.9, rho2=0.999, delta=1e-8, psi=4e-3):
    s, r, t, product = np.zeros_like(p), np.zeros_like(p), 0, 1.0
    mu = lambda t: rho1 * (1 - 0.5 * 0.96 ** (psi * t))
    while True:
        g = grad(p)
        t += 1
        product *= mu(t)
        s = rho1 * s + (1 - rho1) * g
        r = rho2 * r + (1 - rho2) * g**2
        m = mu(t + 1) * s / (1 - product * mu(t + 1)) + (1 - mu(t)) * g / (1 - product)
        p = p - lr * m / (np.sqrt(r / (1 - rho2**t)) + delta)
        yield p


def adahessian(p, grad, diagonal, lr, rho1=0.9, rho2=0.999, delta=1e-4):
    """For a Hessian that is diagonal: z * (H z) is its diagonal whatever the signs z."""
    s, r, t = np.zeros_like(p), np.zeros_like(p), 0
    while True:
        g, h = grad(p), diagonal
        t += 1
        s = rho1 * s + (1 - rho1) * g
        r = rho2 * r + (1 - rho2) * h**2
        p = p - lr * (s / (1 - rho1**t)) / (np.sqrt(r / (1 - rho2**t)) + delta)
        yield p


def adahessian(p, grad, diagonal, lr, rho1=0.9, rho2=0.999, delta=1e-4):
    """For a Hessian that is diagonal: z * (H z) is its diagonal whatever the signs z."""
    s, r, t = np.zeros_like(p), np.zeros_like(p), 0
    while True:
        g, h = grad(p), diagonal
        t += 1
        s = rho1 * s + (1 - rho1) * g
        r = rho2 * r + (1 - rho2) * h**2
        p = p - lr * (s / (1 - rho1**t)) / (np.sqrt(r / (1 - rho2**t)) + delta)
        yield p


def lion(p, grad, lr, rho1=0.9, rho2=0.99, decay=0.0):
    m = np.zeros_like(p)
    while True:
        g = grad(p)
        p = p - lr * (np.sign(rho1 * m + (1 - rho1) * g) + decay * p)
        m = rho2 * m + (1 - rho2) * g
        yield p


def soft_threshold(p, bound):
    return np.sign(p) * np.maximum(np.abs(p) - bound, 0)


def ista(p, grad, lr, alpha):
    while True:
        p = soft_threshold(p - lr * grad(p), lr * alpha)
        yield p


def fista(p, grad, lr, alpha):
    before, y, t = p, p, 1.0
    while True:
        before, p = p, soft_threshold(y - lr * grad(y), lr * alpha)
        following = (1 + np.sqrt(1 + 4 * t**2)) / 2
        y = p + (t - 1) / following * (p - before)
        t = following
        yield p


def by_norm(bound):
    return lambda g: g * min(1.0, bound / np.linalg.norm(g))


def by_value(bound):
    return lambda g: np.clip(g, -bound, bound)
