"""A small transformer, and two ways to generate text with it: token by token, and by masked
diffusion.

Masked diffusion follows LLaDA (Nie et al., 2025, arXiv:2502.09992, algorithm 5): the answer starts
as masks; each of `steps` passes over the whole sequence predicts every mask, keeps the most
confident predictions and masks the rest again.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Attention and a feed-forward layer, each with a norm before it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor] | None, causal: bool
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The layer's output (batch, length, width), and the keys and values so far."""
        batch, length, width = x.shape
        query, key, value = (
            part.view(batch, length, self.heads, -1).transpose(1, 2)
            for part in self.mix(self.norm_1(x)).split(width, dim=-1)
        )
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        # With cached keys there is one new token, which attends to everything before it.
        mixed = functional.scaled_dot_product_attention(
            query, key, value, is_causal=causal and past is None
        )
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.feed(self.norm_2(x)), (key, value)


class Transformer(nn.Module):
    """Token embeddings, positions, blocks, and a score for each token of the vocabulary."""

    def __init__(
        self, *, vocabulary: int, width: int, layers: int, heads: int, longest: int, causal: bool
    ) -> None:
        super().__init__()
        self.causal = causal
        self.mask = vocabulary  # the id of the mask token, after the vocabulary's
        self.tokens = nn.Embedding(vocabulary + 1, width)
        self.positions = nn.Embedding(longest, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)

    def forward(
        self, ids: Tensor, past: list[tuple[Tensor, Tensor]] | None = None
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Scores (batch, length, vocabulary), and the keys and values of each block."""
        start = past[0][0].shape[2] if past else 0
        x = self.tokens(ids) + self.positions(torch.arange(start, start + ids.shape[1]))
        kept = []
        for number, block in enumerate(self.blocks):
            x, pair = block(x, past[number] if past else None, self.causal)
            kept.append(pair)
        return self.head(self.norm(x)), kept


@torch.inference_mode()
def autoregressive(model: Transformer, prompt: Tensor, length: int) -> Tensor:
    """Generate `length` tokens, one forward pass each, with cached keys and values."""
    scores, past = model(prompt)
    found = [scores[:, -1:].argmax(-1)]
    for _ in range(length - 1):
        scores, past = model(found[-1], past)
        found.append(scores[:, -1:].argmax(-1))
    return torch.cat(found, dim=1)


@torch.inference_mode()
def masked_diffusion(model: Transformer, prompt: Tensor, length: int, steps: int) -> Tensor:
    """Generate `length` tokens in `steps` passes over the whole sequence, the most confident tokens
    first.
    """
    start = prompt.shape[1]
    ids = torch.cat([prompt, torch.full((prompt.shape[0], length), model.mask)], dim=1)
    for step in range(steps):
        scores, _ = model(ids)
        sure, guess = scores[:, start:].softmax(-1).max(-1)
        masked = ids[:, start:] == model.mask
        # The number of masks to replace by the end of this pass; decided tokens stay.
        fresh = length * (step + 1) // steps - length * step // steps
        if fresh:
            chosen = sure.masked_fill(~masked, -1.0).topk(fresh, dim=1).indices
            ids[:, start:].scatter_(1, chosen, guess.gather(1, chosen))
    return ids[:, start:]
