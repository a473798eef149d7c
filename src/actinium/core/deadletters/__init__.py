"""Where every message ends that reached no handler: kept, counted, replayable."""

from .letter import REASONS as REASONS
from .letter import DeadLetter as DeadLetter
from .letter import Reason as Reason
from .letter import Replayed as Replayed
from .letters import DeadLetters as DeadLetters
from .letters import Limits as Limits
