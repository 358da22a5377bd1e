"""Losses: one value per row, averaged, with an optional weight per row."""

import numpy as np
import torch
from sklearn.mixture import GaussianMixture
from torch import nn
from torch.nn import functional

__all__ = [
    "AbsoluteError",
    "BalancedSquaredError",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "FocalLoss",
    "HuberLoss",
    "RowLoss",
    "SquaredError",
]


class RowLoss(nn.Module):
    """Mean of a loss over rows; a subclass says what one element's loss is."""

    def elementwise(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return losses of shape (n_rows,) or (n_rows, n_outputs)."""
        raise NotImplementedError

    def forward(
        self,
        prediction: torch.Tensor,
        target: torch.Tensor,
        weight: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the mean over rows of ``weight * loss``; the weights' mean is 1 over all rows."""
        loss = self.elementwise(prediction, target)
        if weight is None:
            return loss.mean()
        return (loss.reshape(len(weight), -1).mean(dim=1) * weight).mean()


class SquaredError(RowLoss):
    """Mean squared error over outputs."""

    def elementwise(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.mse_loss(prediction, target, reduction="none")


class AbsoluteError(RowLoss):
    """Mean absolute error over outputs."""

    def elementwise(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.l1_loss(prediction, target, reduction="none")


class HuberLoss(RowLoss):
    """Squared up to `delta` (in standard deviations of the target), linear beyond."""

    def __init__(self, delta: float) -> None:
        super().__init__()
        self.delta = delta

    def elementwise(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.huber_loss(prediction, target, reduction="none", delta=self.delta)


class BalancedSquaredError(RowLoss):
    r"""Balanced MSE, with the balancing integral in closed form (GAI) [1]_.

    A Gaussian mixture is fitted to the training targets; with it, a row's loss is

    .. math:: -\log N(y; \hat y, \sigma^2 I)
              + \log \sum_k w_k N(\hat y; \mu_k, \Sigma_k + \sigma^2 I)

    the negative log-likelihood of the target if the network's own belief were held under a uniform
    distribution of targets. The noise :math:`\sigma` is learnt along. In contrast to the
    batch-based form, a row's loss does not depend on its neighbours in the batch; so it can be
    weighted and compared between epochs on a validation part.

    References
    ----------
    .. [1] Ren, J., Zhang, M., Yu, C., & Liu, Z. (2022). Balanced MSE for imbalanced visual
       regression. CVPR 2022, 7926-7935.
    """

    shares: torch.Tensor
    means: torch.Tensor
    axes: torch.Tensor
    variances: torch.Tensor

    def __init__(self, targets: np.ndarray, *, seed: int, max_components: int = 8) -> None:
        super().__init__()
        distinct = len(np.unique(targets, axis=0))
        # reg_covar is a hundredth of the target's variance: heaped targets (37 degrees) must not
        # become components of no width.
        mixture = GaussianMixture(
            min(max_components, distinct), reg_covar=1e-2, max_iter=500, tol=1e-3, random_state=seed
        ).fit(targets.astype(np.float64))
        variances, axes = np.linalg.eigh(mixture.covariances_)
        for name, value in {
            "shares": np.log(mixture.weights_),
            "means": mixture.means_,
            "axes": axes,
            "variances": variances,
        }.items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))
        self.log_noise = nn.Parameter(torch.zeros(()))

    def elementwise(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        noise = torch.exp(2 * self.log_noise)
        fit = 0.5 * ((prediction - target) ** 2 / noise + 2 * self.log_noise).sum(dim=1)
        # In each component's own axes the covariance is diagonal, and noise only adds to it.
        offset = torch.einsum("nkd,kde->nke", prediction[:, None, :] - self.means, self.axes)
        spread = self.variances + noise
        density = self.shares - 0.5 * (offset**2 / spread + torch.log(spread)).sum(dim=2)
        return fit + torch.logsumexp(density, dim=1)  # the two constants of the densities cancel


class CrossEntropy(RowLoss):
    """Cross-entropy of the softmax over classes."""

    def elementwise(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(prediction, target, reduction="none")


class BinaryCrossEntropy(RowLoss):
    """Cross-entropy of one sigmoid per label, averaged over labels."""

    def elementwise(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(prediction, target, reduction="none")


class FocalLoss(RowLoss):
    r"""Cross-entropy times :math:`(1 - p)^\gamma`, p the probability of the true class [1]_.

    Easy rows count little; with ``gamma=0`` it is the cross-entropy. For label matrices each label
    has its own sigmoid.

    References
    ----------
    .. [1] Lin, T.-Y., Goyal, P., Girshick, R., He, K., & Dollar, P. (2017). Focal loss for dense
       object detection. ICCV 2017, 2999-3007.
    """

    def __init__(self, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma

    def elementwise(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if target.ndim == 2:
            cross_entropy = functional.binary_cross_entropy_with_logits(
                prediction, target, reduction="none"
            )
        else:
            cross_entropy = functional.cross_entropy(prediction, target, reduction="none")
        # -expm1(-x) is 1 - p without cancellation; the floor keeps the gradient of miss ** gamma
        # finite where p is 1.
        miss = (-torch.expm1(-cross_entropy)).clamp_min(1e-12)
        return miss**self.gamma * cross_entropy
