"""One fit: the 474-parameter network in float32 to int8 features with torch, batch normalizations folded away, then int8.

AdamW on a one-cycle schedule (Smith and Topin 2017) with smoothed labels; what is kept is the moving average of the weights
(Polyak). This module alone imports torch at its head, and only kwsq.train imports this module.
"""

from __future__ import annotations

import click
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from kwsq import features, float_reference, kws, reference
from kwsq.calibrate import quantize_network
from kwsq.layers import Network
from kwsq.quantize import PercentileObserver, fold_batch_norm
from kwsq.recipe import Fit, Recipe

EPSILON = 1e-5  # of the batch normalizations


class Fitted(nn.Module):
    """The network with a batch normalization behind the pool and behind the pointwise layer, for float32 (N, 81, 16) `patches`.

    The convolution and the pool are one product with the 4x4 pixels below each pooled one, and the depthwise and the pointwise
    layer, with nothing in between, are one convolution: the same function, several times as fast to fit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Parameter(torch.randn(8, 3, 3) * 0.47)
        self.depthwise = nn.Parameter(torch.randn(8, 3, 3) * 0.33)
        self.pointwise = nn.Parameter(torch.randn(16, 8) * 0.35)
        self.pooled, self.mixed = (nn.BatchNorm2d(channels, momentum=0.05, eps=EPSILON) for channels in (8, 16))
        self.dense = nn.Linear(16, len(kws.LABELS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        corners = torch.stack([F.pad(self.conv, (right, 1 - right, down, 1 - down)) for down in (0, 1) for right in (0, 1)])
        x = (x.reshape(-1, 16) @ corners.reshape(32, 16).T).view(-1, 4, 8).amax(1).view(-1, 9, 9, 8).permute(0, 3, 1, 2)
        norm = self.pooled
        # a scale above 0 commutes with the pool, so it can be folded into the convolution in front of it
        x = F.relu(F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight.abs(), norm.bias, self.training, 0.05, EPSILON))
        x = F.conv2d(x, self.pointwise[:, :, None, None] * self.depthwise)
        return self.dense(self.mixed(x).clamp(0, kws.CEILING).mean((2, 3)))

    def weights(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """As kws.float_network takes them: batch normalizations folded, depthwise channels scaled to one range."""
        conv, depthwise, pointwise = map(_array, (self.conv, self.depthwise, self.pointwise))
        norms = [[_array(value) for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var)]
                 for norm in (self.pooled, self.mixed)]
        dense = _array(self.dense.weight), _array(self.dense.bias)
        norms[0][0] = np.abs(norms[0][0])
        conv, conv_bias = fold_batch_norm(conv[..., None], None, *norms[0], EPSILON)
        spread = np.maximum(np.abs(pointwise).max(axis=0), 1e-6)
        pointwise, pointwise_bias = fold_batch_norm(pointwise / spread, None, *norms[1], EPSILON)
        return {"conv2d_3x3_8": (conv, conv_bias), "pwconv2d_8x16": (pointwise, pointwise_bias), "dense_16x10": dense,
                "dwconv2d_3x3": (depthwise * spread[:, None, None], np.zeros(8, np.float32))}


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy().copy()


def values(q: torch.Tensor) -> torch.Tensor:
    """float32 (N, 20, 20) that int8 features stand for."""
    return (q.float() - features.ZERO_POINT) * features.SCALE


def patches(x: torch.Tensor) -> torch.Tensor:
    """float32 (N, 81, 16): of (N, 20, 20), the 4x4 pixels that each pixel behind the pool depends on."""
    return x.unfold(1, 4, 2).unfold(2, 4, 2).reshape(len(x), 81, 16)


@torch.no_grad()
def answers(network: Fitted, q: torch.Tensor) -> torch.Tensor:
    """float32 (N, 10) logits for int8 (N, 20, 20)."""
    network.eval()
    return torch.cat([network(patches(values(part))) for part in q.split(1024)])


def descend(heard: torch.Tensor, labels: torch.Tensor, recipe: Recipe, watch=None) -> Fitted:
    """A network fitted to int8 (N, copies, 20, 20) and int64 (N,).

    `watch(epoch, network)` is called twenty times, with the averaged weights, which are also what is returned.
    """
    torch.manual_seed(recipe.seed)
    network, averaged = Fitted(), Fitted()
    optimizer = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=recipe.decay)
    steps = recipe.epochs * -(-len(heard) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=steps, pct_start=0.15)
    averaged.load_state_dict(network.state_dict())
    step = 0
    for epoch in range(1, recipe.epochs + 1):
        order, copy = torch.randperm(len(heard)), torch.randint(heard.shape[1], (len(heard),))
        for at in order.split(recipe.batch):
            answer = network(patches(values(heard[at, copy[at]])))
            loss = F.cross_entropy(answer, labels[at], label_smoothing=recipe.smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            _average(averaged, network, min(recipe.average, (1 + step) / (10 + step)))
        if watch and (epoch % max(1, recipe.epochs // 20) == 0 or epoch == recipe.epochs):
            watch(epoch, averaged)
    return averaged.eval()


@torch.no_grad()
def _average(averaged: Fitted, network: Fitted, keep: float) -> None:
    for kept, new in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(new, 1 - keep)


def fit(q: np.ndarray, labels: np.ndarray, folds: np.ndarray, fold: int | None, recipe: Recipe) -> Fit:
    """The networks fitted to int8 (N, copies, 20, 20), without the recordings whose `folds` is `fold`."""
    torch.set_num_threads(1)
    train = np.flatnonzero(folds != fold) if fold is not None else np.arange(len(q))
    held = np.flatnonzero(folds == fold) if fold is not None else train
    heard, wanted = torch.from_numpy(q[train]), torch.from_numpy(labels[train])
    unheard, right = torch.from_numpy(q[held, 0]), torch.from_numpy(labels[held])
    name = "all" if fold is None else f"fold {fold + 1}"
    curve = []

    def watch(epoch: int, network: Fitted) -> None:
        curve.append((epoch, float((answers(network, unheard).argmax(1) == right).float().mean())))
        what = "of the training recordings" if fold is None else "of unheard speakers"
        click.echo(f"{name}: epoch {epoch}/{recipe.epochs}, {100 * curve[-1][1]:.1f} % {what}", err=True)

    network = descend(heard, wanted, recipe, watch)
    networks = to_networks(network, q[train, 0][..., None], recipe)
    given = [run(network, network.input_array(q[held, 0][..., None]))[-1].argmax(axis=1)
             for network, run in zip(networks, (float_reference.run, reference.run), strict=True)]
    return Fit(fold, networks, curve, held, *given)


def to_networks(network: Fitted, calibration: np.ndarray, recipe: Recipe) -> list[Network]:
    """[float32 network, int8 network calibrated with int8 (N, 20, 20, 1)]."""
    network = kws.float_network(network.weights(), trained=True)
    return [network, quantize_network(network, calibration, lambda: PercentileObserver(*recipe.percentiles))]
