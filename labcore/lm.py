"""A small language model over bytes: TinyLM, and text that it writes.

model = workbench("tinylm").dense()
print(generate(model, "def mean(values):", 150))
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["BYTES", "CONTEXT", "TinyLM", "generate", "to_bytes"]

BYTES, CONTEXT = 256, 256  # the tokens, and how many of them the model looks back

Turns = tuple[Tensor, Tensor]
Cache = dict[str, Tensor]  # the keys and values of the bytes that were read


class Attention(nn.Module):
    """Causal attention with rotary positions; removing rows of q, k and v (and columns
    of o) by whole heads leaves fewer heads."""

    def __init__(self, width: int, head: int) -> None:
        super().__init__()
        self.head = head
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.o = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, turns: Turns, cache: Cache | None = None) -> Tensor:
        q, k, v = (self._heads(layer(x)) for layer in (self.q, self.k, self.v))
        q, k = _turned(torch.stack([q, k]), turns)
        if cache is not None:
            k, v = _remembered(cache, k=k, v=v)
        several = q.shape[2] > 1  # a single new byte may look at all that came before
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=several)
        return self.o(mixed.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        """(batch, time, heads * head) -> (batch, heads, time, head)."""
        return x.unflatten(2, (-1, self.head)).transpose(1, 2)


def _turns(times: Tensor, head: int) -> Turns:
    """Angles that grow with time, the first ones fast: (time, head) cosines and sines.

    Once a query and a key are turned, their product depends on how far apart they are.
    """
    half = torch.arange(head // 2, device=times.device)
    angles = times[:, None] * 10_000.0 ** (-2 * half / head)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([cos, cos], dim=1), torch.cat([-sin, sin], dim=1)


def _turned(x: Tensor, turns: Turns) -> Tensor:
    """Values i and i + head / 2 are the coordinates of a point, which is turned."""
    cos, sin = turns
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([second, first], dim=-1) * sin


def _remembered(cache: Cache, **new: Tensor) -> list[Tensor]:
    """The keys and values so far with the new ones: the last CONTEXT of them."""
    for name, values in new.items():
        old = [cache[name]] if name in cache else []
        cache[name] = torch.cat([*old, values], dim=2)[:, :, -CONTEXT:]
    return [cache[name] for name in new]


class GLU(nn.Module):
    """A feed-forward layer whose hidden neurons are each multiplied by a gate."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """Attention, then GLU: each reads the normalised stream and adds to it."""

    def __init__(self, width: int, head: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(width, eps=1e-5)
        self.attention = Attention(width, head)
        self.norm2 = nn.RMSNorm(width, eps=1e-5)
        self.glu = GLU(width, hidden)

    def forward(self, x: Tensor, turns: Turns, cache: Cache | None = None) -> Tensor:
        x = x + self.attention(self.norm1(x), turns, cache)
        return x + self.glu(self.norm2(x))


class TinyLM(nn.Module):
    """A GPT over bytes: (batch, time) of bytes -> (batch, time, 256) of logits, each
    for the byte that follows. Every nn.Linear in it may be pruned: the logits use the
    embedding once more."""

    def __init__(
        self, width: int = 128, blocks: int = 6, head: int = 32, hidden: int = 352
    ) -> None:
        super().__init__()
        self.head = head
        self.embedding = nn.Embedding(BYTES, width)
        self.blocks = nn.ModuleList(Block(width, head, hidden) for _ in range(blocks))
        self.norm = nn.RMSNorm(width, eps=1e-5)
        nn.init.normal_(self.embedding.weight, std=0.02)
        for block in self.blocks:  # what is added 2 * blocks times begins small
            for last in (block.attention.o, block.glu.down):
                nn.init.normal_(last.weight, std=0.05 / (2 * blocks) ** 0.5)

    def forward(
        self, read: Tensor, start: int = 0, caches: list[Cache] | None = None
    ) -> Tensor:
        x, turns = self.entering(read, start)
        for i, block in enumerate(self.blocks):
            x = block(x, turns, caches[i] if caches else None)
        return F.linear(self.norm(x), self.embedding.weight)

    def entering(self, read: Tensor, start: int = 0) -> tuple[Tensor, Turns]:
        """What the first block reads; each block's output enters the next one."""
        times = torch.arange(start, start + read.shape[1], device=read.device)
        return self.embedding(read), _turns(times, self.head)


@torch.inference_mode()
def generate(
    model: TinyLM,
    prompt: str,
    count: int = 150,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> str:
    """What the model writes after the prompt; after an empty one it begins a file.

    temperature   0: always the likeliest byte; 1: drawn as the model's scores say
    """
    read = to_bytes(prompt or "\0")[-CONTEXT:]
    start, caches, written = 0, [{} for _ in model.blocks], []
    for _ in range(count):
        scores = model(read[None], start, caches)[0, -1]
        start += len(read)
        read = _drawn(scores, temperature, generator)
        written.append(read.item())
    return bytes(written).decode(errors="replace")


def _drawn(
    scores: Tensor, temperature: float, generator: torch.Generator | None
) -> Tensor:
    if temperature == 0:
        return scores.argmax()[None]
    return torch.multinomial((scores / temperature).softmax(0), 1, generator=generator)


def to_bytes(text: str) -> Tensor:
    """The text as bytes, in the type that an embedding takes."""
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).long()
