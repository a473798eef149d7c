"""Train the embedded model: `python -m train_embedded.train --data ... --out ... --minutes 75`.

The learning rate follows the clock (warm-up, plateau, linear decay to zero at the end of
`--minutes`), so a run always ends decayed. A checkpoint with the running average of the
weights is written every few minutes; `--resume` goes on from it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from .model import Model, Shape, rope_tables
from .muon import Muon
from .packing import Batch, batches
from .paths import SHIPPED, TOKENIZER
from .render import SPECIAL
from .threads import ThreadChooser


def schedule(part: float, decay: float) -> float:
    """Learning rate factor at a fraction of the run's time."""
    if part < 0.02:
        return 0.05 + 0.95 * part / 0.02
    return 1.0 if part < 1 - decay else max(0.0, (1 - part) / decay)


def optimizers(model: Model, lr: float, lr_other: float) -> list[torch.optim.Optimizer]:
    """Muon for matrices, AdamW for the rest; each group remembers its base rate."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim == 1 or "embed" in n]
    made: list[torch.optim.Optimizer] = [
        Muon(matrices, lr=lr),
        torch.optim.AdamW(others, lr=lr_other, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    for optimizer in made:
        for group in optimizer.param_groups:
            group["base"] = group["lr"]
    return made


def save(path: Path, model: Model, average: dict[str, torch.Tensor], **more: Any) -> None:
    """Write a checkpoint in one move."""
    state = {
        "shape": model.shape.to_dict(),
        "model": model.state_dict(),
        "average": average,
        **more,
    }
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").rename(path)


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=75)
    parser.add_argument("--rows", type=int, default=16, help="rows of 256 tokens per step")
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--lr-other", type=float, default=0.004)
    parser.add_argument("--decay", type=float, default=0.5, help="last part of the run that decays")
    parser.add_argument("--threads", type=int, default=2, help="most threads to use")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", type=Path, help="checkpoint to go on from")
    parser.add_argument("--first", type=int, default=0, help="first shard")
    parser.add_argument("--save-every", type=float, default=180, help="seconds")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(SHIPPED / TOKENIZER))
    marks = [t for t in SPECIAL if t not in ("<|pad|>", "<|call|>")]
    roles = {t: tokenizer.encode(t).ids[0] for t in marks}

    model = Model(Shape(vocab=tokenizer.get_vocab_size()))
    optims = optimizers(model, args.lr, args.lr_other)
    tokens, step, spent = 0, 0, 0.0
    if args.resume:
        state = torch.load(args.resume, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optims, state["optims"], strict=True):
            optimizer.load_state_dict(saved)
            for group in optimizer.param_groups:
                group["base"] = args.lr if isinstance(optimizer, Muon) else args.lr_other
        tokens, step, spent = state["tokens"], state["step"], state["seconds"]
    average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    print(f"{model.count():,} parameters", flush=True)
    threads = ThreadChooser(args.threads)
    cos, sin = rope_tables(model.shape)
    start = last_save = last_print = time.monotonic()
    begin_tokens, recent = tokens, []
    for shard, batch in batches(args.data, args.first, args.rows, roles, args.seed):
        now = time.monotonic()
        part = (now - start) / (args.minutes * 60)
        if part >= 1:
            break
        factor = schedule(part, args.decay)
        with threads:
            recent.append(_step(model, optims, batch, cos, sin, factor))
        step, tokens = step + 1, tokens + int((batch.ids > 0).sum())
        keep = min(0.995, 1 - 1 / (step + 1))
        with torch.no_grad():
            for k, v in model.state_dict().items():
                average[k].lerp_(v, 1 - keep)
        if now - last_print > 20:
            rate = (tokens - begin_tokens) / (now - start)
            mean = sum(recent) / len(recent)
            print(
                f"step {step} tokens {tokens:,} loss {mean:.4f} lr x{factor:.2f} shard {shard} "
                f"{rate:,.0f} tokens/s x{threads.current} {part:.1%}",
                flush=True,
            )
            recent, last_print = [], now
        if now - last_save > args.save_every:
            last_save = now
            save(
                args.out / "checkpoint.pt",
                model,
                average,
                tokens=tokens,
                step=step,
                shard=shard,
                optims=[o.state_dict() for o in optims],
                seconds=spent + now - start,
            )
    save(
        args.out / "final.pt",
        model,
        average,
        tokens=tokens,
        step=step,
        shard=shard,
        optims=[o.state_dict() for o in optims],
        seconds=spent + time.monotonic() - start,
    )
    print(f"done: {tokens:,} tokens in {spent + time.monotonic() - start:.0f} s", flush=True)


def _step(
    model: Model,
    optims: list[torch.optim.Optimizer],
    batch: Batch,
    cos: torch.Tensor,
    sin: torch.Tensor,
    factor: float,
) -> float:
    """Forward, backward and update; returns the loss."""
    c, s = cos[batch.position][:, None], sin[batch.position][:, None]
    loss = model.loss(batch.ids, batch.targets, batch.weights, c, s, batch.mask)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optims:
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * factor
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach())


if __name__ == "__main__":
    main()
