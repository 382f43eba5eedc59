"""Scores of untrained networks that go with their accuracy once trained; needs torch.

``synflow`` (Tanaka et al., NeurIPS 2020), ``grad_norm`` and ``snip`` (Lee et al., ICLR 2019) as in "Zero-Cost Proxies for
Lightweight NAS" (Abdelfattah et al., ICLR 2021); ``naswot`` and ``jacobian`` are the second and the first version of "Neural
Architecture Search without Training" (Mellor et al., ICML 2021); ``zen`` is that of "Zen-NAS" (Lin et al., ICCV 2021).
"""

import copy
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from fingerpost.tasks.determinism import one_thread, seeded
from fingerpost.tasks.nas.score_params import ScoreParams

#: The constant of the Jacobian covariance (Mellor et al., 2020).
_JACOBIAN_GUARD = 1e-5
#: How far the Zen-score moves an input.
_ZEN_STEP = 0.01

_Found = dict[str, float]


def scores(
    module: torch.nn.Module, images: NDArray[np.float32], labels: NDArray[np.int64], params: ScoreParams
) -> _Found:
    """The scores of a module by name, higher for better; the module is left as it is.

    images: a batch float32 (b, channels, height, width) as the network gets it. labels: its classes (b,), or those of its
    pixels (b, height, width). The weights are drawn from the seed: those of the module do not count. ``-inf`` is the score of
    a network that cannot be scored: its output does not depend on its input, or is not finite.

    A module may have ``features(rows)``, its output before global pooling, which the Zen-score looks at; without it that
    is its output. ReLUs are counted where they are modules of their own.
    """
    batch, classes = torch.from_numpy(images), torch.from_numpy(labels)
    found: _Found = {}
    with one_thread():
        for names, function in _FAMILIES:
            if set(names) & set(params.names):
                with seeded(params.seed):
                    found |= function(copy.deepcopy(module), batch, classes, params)
    return {name: found[name] if not math.isnan(found[name]) else -math.inf for name in params.names}


def _redraw(module: torch.nn.Module) -> None:
    """Draws all weights as torch's layers do, in the order of the layers."""
    for part in module.modules():
        if callable(reset := getattr(part, "reset_parameters", None)):
            reset()


def _weighted(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The convolutions and linear layers."""
    for part in module.modules():
        if isinstance(part, (torch.nn.modules.conv._ConvNd, torch.nn.Linear)):
            yield part


def _norms(module: torch.nn.Module) -> Iterator[torch.nn.modules.batchnorm._BatchNorm]:
    for part in module.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            yield part


def _without_norms(module: torch.nn.Module) -> None:
    """Replaces each batch norm by the identity."""
    for part in list(module.modules()):
        # named_children() names a module that is there twice once.
        for name, child in part._modules.items():
            if isinstance(child, torch.nn.modules.batchnorm._BatchNorm):
                setattr(part, name, torch.nn.Identity())


def _synflow(module: torch.nn.Module, images: torch.Tensor, _: torch.Tensor, params: ScoreParams) -> _Found:
    """Synaptic flow without batch norm (the variant called synflow, not synflow_bn), in double precision.

    The sum of |w · dR/dw| over the weights of convolutions and linear layers, where R is the sum of the outputs for an image of
    ones with absolute weights. Where that overflows, the largest double.
    """
    _redraw(module)
    _without_norms(module)
    module.double().train()
    with torch.no_grad():
        for value in module.state_dict().values():
            value.abs_()
    module(torch.ones((1, *images.shape[1:]), dtype=torch.float64)).sum().backward()
    total = sum(float((part.weight * part.weight.grad).detach().abs().sum()) for part in _reached(module))
    # An infinite part times a weight of zero is nan.
    return {"synflow": total if math.isfinite(total) else float(np.finfo(np.float64).max)}


def _reached(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The convolutions and linear layers that have a gradient."""
    return (part for part in _weighted(module) if part.weight.grad is not None)


def _gradients(module: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, params: ScoreParams) -> _Found:
    """Sums over convolutions and linear layers for the cross-entropy of a batch: ‖dL/dW‖, and |w · dL/dw|."""
    _redraw(module)
    module.train()
    torch.nn.functional.cross_entropy(module(images), labels).backward()
    norm = sum(float(part.weight.grad.double().norm()) for part in _reached(module))
    saliency = sum(float((part.weight * part.weight.grad).detach().abs().double().sum()) for part in _reached(module))
    finite = math.isfinite(norm) and math.isfinite(saliency)
    return {"grad_norm": norm if finite else -math.inf, "snip": saliency if finite else -math.inf}


def _codes(module: torch.nn.Module, images: torch.Tensor, _: torch.Tensor, params: ScoreParams) -> _Found:
    """What a batch's images do to ReLUs and gradients: NASWOT, and the covariance of the Jacobian."""
    _redraw(module)
    module.train()
    kernel = torch.zeros((len(images), len(images)), dtype=torch.float64)

    def add(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], __: torch.Tensor) -> None:
        # x xᵀ + (1 - x)(1 - x)ᵀ of codes in {0, 1} is (n + s sᵀ) / 2 of signs; below 2²⁴ units float32 counts exactly.
        signs = (inputs[0].detach().flatten(1) > 0).to(torch.float32) * 2 - 1
        for part in signs.split(1 << 24, dim=1):
            kernel.add_((part.shape[1] + (part @ part.T).double()) / 2)

    for part in module.modules():
        if isinstance(part, (torch.nn.ReLU, torch.nn.ReLU6)):
            part.register_forward_hook(add)
    batch = images.clone().requires_grad_(True)
    module(batch).sum().backward()
    gradient = torch.zeros_like(images) if batch.grad is None else batch.grad
    return {
        "naswot": log_determinant(kernel.numpy()),
        "jacobian": jacobian_covariance(gradient.flatten(1).double().numpy()),
    }


def log_determinant(kernel: NDArray[np.float64]) -> float:
    """log |det K| of a symmetric positive semidefinite matrix; -inf for a singular one, as that of equal images is."""
    values = np.linalg.eigvalsh(kernel)
    smallest = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    return float(np.log(values).sum()) if values[0] > smallest else -math.inf


def jacobian_covariance(rows: NDArray[np.float64]) -> float:
    """-Σ ln(v + k) + 1 / (v + k) over the eigenvalues v of the correlations of rows (b, d); -inf for a constant row."""
    if not np.isfinite(rows).all() or (rows == rows[:, :1]).all(axis=1).any():
        return -math.inf
    values = np.linalg.eigvalsh(np.atleast_2d(np.corrcoef(rows))) + _JACOBIAN_GUARD
    # Rounding makes eigenvalues of zero as small as -1e-15: the guard keeps them above zero.
    return -float((np.log(values) + 1 / values).sum())


def _zen(module: torch.nn.Module, images: torch.Tensor, _: torch.Tensor, params: ScoreParams) -> _Found:
    """The Zen-score: how far features move with the input under normal weights, and the scales that batch norm took away.

    Each batch norm's variance is that of the first of the two batches, not the running mean of the published code, which
    begins at one.
    """
    module.train()
    total = 0.0
    for _repeat in range(params.zen_repeats):
        value = _zen_once(module, (params.zen_batch, *images.shape[1:]))
        total += value if math.isfinite(value) else -math.inf
    return {"zen": total / params.zen_repeats}


def _zen_once(module: torch.nn.Module, shape: tuple[int, ...]) -> float:
    _redraw(module)
    for part in _weighted(module):
        torch.nn.init.normal_(part.weight)
        if part.bias is not None:
            torch.nn.init.zeros_(part.bias)
    for norm in _norms(module):
        norm.momentum = 1.0
    features: Callable[[torch.Tensor], torch.Tensor] = getattr(module, "features", module)
    rows, other = torch.randn(shape), torch.randn(shape)
    with torch.no_grad():
        first = features(rows)
        scale = sum(0.5 * _log(float(norm.running_var.mean())) for norm in _norms(module))
        moved = float((first - features(rows + _ZEN_STEP * other)).abs().double().sum() / len(first))
    return _log(moved) + scale


def _log(value: float) -> float:
    """The natural logarithm; -inf for 0."""
    return math.log(value) if value != 0 else -math.inf


def _counts(module: torch.nn.Module, images: torch.Tensor, _: torch.Tensor, params: ScoreParams) -> _Found:
    """Parameters, and multiply-accumulates of convolutions and linear layers for one image."""
    macs = 0

    def add(part: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal macs
        macs += output.numel() * part.weight[0].numel()

    for part in _weighted(module):
        part.register_forward_hook(add)
    module.eval()
    with torch.no_grad():
        module(images[:1])
    return {"parameters": float(sum(value.numel() for value in module.parameters())), "macs": float(macs)}


_Family = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor, ScoreParams], _Found]
#: Scores that one pass gives together.
_FAMILIES: tuple[tuple[tuple[str, ...], _Family], ...] = (
    (("synflow",), _synflow),
    (("grad_norm", "snip"), _gradients),
    (("naswot", "jacobian"), _codes),
    (("zen",), _zen),
    (("parameters", "macs"), _counts),
)
