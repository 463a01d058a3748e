"""Starting parameters that need not be stored: element k, counted from 1, of a tensor is
scale·(2·frac(k·0.6180339887498949 + phase) - 1) + shift.
"""
import numpy as np


class Parameters:
    """Tensors by path, laid end to end in one vector; `shapes` gives dims, scale, phase and shift of each."""

    def __init__(self, shapes):
        self.shapes = shapes

    def start(self):
        parts = []
        for dims, scale, phase, shift in self.shapes.values():
            k = np.arange(1, np.prod(dims, dtype=int) + 1)
            at = k * 0.6180339887498949 + phase
            parts.append(scale * (2 * (at - np.floor(at)) - 1) + shift)
        return np.concatenate(parts)

    def split(self, vector):
        found, at = {}, 0
        for path, (dims, *_) in self.shapes.items():
            n = int(np.prod(dims, dtype=int))
            found[path] = vector[at : at + n].reshape(dims)
            at += n
        return found

    def figures(self):
        return {path: dict(zip(["dims", "scale", "phase", "shift"], shape)) for path, shape in self.shapes.items()}
