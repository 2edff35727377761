"""One attention layer with one query a sequence, the smallest model in which a token is selected."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from overparam.errors import BadInput


class OneLayerAttention(nn.Module):
    """Softmax attention with a head: s = softmax(X W z), output head(X' s).

    W is one matrix, or K Q' of the parameters `key` and `query`. In terms of two linear layers that make keys and
    queries, K = `k_proj.weight.T` and Q = `q_proj.weight.T`.

    Args:
        d: Width of tokens and queries.
        factored: Whether K and Q are the parameters in place of W.
        rank: Columns of K and Q, d by default.
        head: None for a trainable vector, a tensor (d,) for a fixed one, or a module that maps (b, d) to (b,) or
            (b, 1).
        query: `cross` if queries are passed to the layer, or the position of the token that serves as the query.
        generator: Of the initial weights, uniform in ±1/√d.
        dtype: Of the parameters.

    Attributes:
        last_softmax: (b, T) probabilities of the last call, detached; empty before.

    Raises:
        BadInput: d or rank below one, a rank without factors, a head of another shape, or an unknown query.

    Source: arXiv 2308.16898, the model with W, and with K and Q.

    Example:
        >>> layer = OneLayerAttention(3, query=0, generator=torch.Generator().manual_seed(0))
        >>> layer(torch.ones(2, 5, 3)).shape, layer.last_softmax[0, 0].item()
        (torch.Size([2]), 0.20000000298023224)
    """

    last_softmax: Tensor

    def __init__(
        self,
        d: int,
        *,
        factored: bool = False,
        rank: int | None = None,
        head: Tensor | nn.Module | None = None,
        query: int | str = "cross",
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if d < 1 or (rank is not None and (rank < 1 or not factored)):
            raise BadInput(f"d={d}, rank={rank}, factored={factored}: give d, rank >= 1, and rank only with factors")
        if isinstance(head, Tensor) and head.shape != (d,):
            raise BadInput(f"head has shape {tuple(head.shape)}, expected ({d},)")
        if query != "cross" and not isinstance(query, int):
            raise BadInput(f"query={query!r} is unknown; give 'cross' or a position")

        def drawn(*shape: int) -> nn.Parameter:
            values = torch.rand(shape, generator=generator, dtype=dtype)
            return nn.Parameter((2 * values - 1) * d**-0.5)

        self.query_at = query
        self.factored = factored
        if factored:
            self.key, self.query = drawn(d, rank or d), drawn(d, rank or d)
        else:
            self.weight = drawn(d, d)
        if isinstance(head, nn.Module):
            self.head: nn.Module | None = head
        else:
            self.head = None
            if head is None:
                self.vector: Tensor = drawn(d)
            else:
                self.register_buffer("vector", head.detach().clone())
        self.register_buffer("last_softmax", torch.empty(0), persistent=False)

    @property
    def W(self) -> Tensor:
        """(d, d), such that scores are x' W z."""
        return self.key @ self.query.T if self.factored else self.weight

    def forward(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        """Attend once.

        Args:
            x: (b, T, d) tokens.
            z: (b, d) queries of a cross-attention layer; None where a token is the query.

        Returns:
            (b,).

        Raises:
            BadInput: Queries are missing or superfluous, or shapes do not fit.
        """
        if (z is None) == (self.query_at == "cross"):
            raise BadInput(f"z is {'missing' if z is None else 'given'} but query={self.query_at!r}; make them agree")
        if z is None:
            z = x[:, int(self.query_at)]
        d = (self.key if self.factored else self.weight).shape[0]
        if x.ndim != 3 or x.shape[2] != d or z.shape != (len(x), d):
            raise BadInput(f"x has shape {tuple(x.shape)} and z {tuple(z.shape)}, expected (b, T, {d}) and (b, {d})")
        keys, queries = (x @ self.key, z @ self.query) if self.factored else (x, z @ self.weight.T)
        share = torch.einsum("btd,bd->bt", keys, queries).softmax(-1)
        self.last_softmax = share.detach()
        seen = torch.einsum("bt,btd->bd", share, x)
        if self.head is None:
            return seen @ self.vector
        found: Tensor = self.head(seen)
        return found.squeeze(-1) if found.ndim == 2 else found
