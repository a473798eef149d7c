"""Log-probabilities of chosen tokens, from the model's own distribution.

That is the softmax of the raw logits: before penalties, bias, temperature and cuts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...chunk import TokenLogprob
from .vocabulary import Vocabulary


def logprob(
    logits: npt.NDArray[np.float32], token: int, top: int, vocabulary: Vocabulary
) -> TokenLogprob:
    """The entry of ``token`` with the ``top`` likeliest alternatives, likeliest first."""
    wide = logits.astype(np.float64)
    wide -= wide.max()
    wide -= np.log(np.exp(wide).sum())
    best: list[int] = []
    if top:
        ids = np.argpartition(wide, len(wide) - top)[-top:] if top < len(wide) else np.arange(top)
        ids.sort()
        best = ids[np.argsort(-wide[ids], kind="stable")].tolist()
    return TokenLogprob(
        token=vocabulary.text(token),
        logprob=float(wide[token]),
        bytes=tuple(vocabulary.pieces[token]),
        top=tuple((vocabulary.text(other), float(wide[other])) for other in best),
    )
