"""The thread that steps the model: feeds prompts, decodes all rows, hands out the chunks.

onnxruntime gives up the interpreter lock while it computes, so the event loop runs beside it.
What a step made for all requests crosses to an event loop with one call.
"""

from __future__ import annotations

import logging
import threading
from asyncio import AbstractEventLoop
from collections import deque

import numpy as np

from actinium.errors import ModelNotReady, ServerError

from ...chunk import Chunk
from .counters import Counters
from .decoder import Decoder, Floats
from .inbox import Parcel, deliver
from .job import Job
from .logprobs import logprob
from .sampling import Sampler, choose, restrict
from .scheduler import Choice, Entry, Move, Scheduler
from .vocabulary import Vocabulary

_logger = logging.getLogger(__name__)
_PATIENCE = 3
"""Failed steps in a row after which the engine calls itself broken."""


class Engine:
    """Runs jobs on one decoder. ``broken`` says why it takes no more, where that is so.

    :meth:`submit`, :meth:`cancel` and :meth:`stop` may be called from any thread.
    """

    def __init__(
        self, decoder: Decoder, vocabulary: Vocabulary, chunk: int, sampler: Sampler = choose
    ) -> None:
        self.counters = Counters()
        self.scheduler: Scheduler[Job] = Scheduler(decoder.slots, chunk)
        self.broken: str | None = None
        self._decoder = decoder
        self._vocabulary = vocabulary
        self._choose = sampler
        self._stop_ids = frozenset(decoder.config.stop_ids)
        self._gate = threading.Condition()
        self._submitted: deque[Job] = deque()
        self._left: deque[Job] = deque()
        self._stopping = False
        self._failures = 0
        self._parcels: dict[Job, list[Chunk]] = {}
        self._ended: dict[Job, Exception | None] = {}
        self._thread = threading.Thread(target=self._run, name="actinium-onnx", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queues a job. Raises ModelNotReady where the engine is stopped or broken."""
        with self._gate:
            if self._stopping:
                raise ModelNotReady("the model is being closed")
            if self.broken is not None:
                raise ModelNotReady(self.broken)
            self._submitted.append(job)
            self._gate.notify()

    def cancel(self, job: Job) -> None:
        """Frees what a job holds before the next step; does nothing where it has ended."""
        with self._gate:
            self._left.append(job)
            self._gate.notify()

    def stop(self) -> None:
        """Ends the thread after its step; what still runs fails with ModelNotReady. Blocks."""
        with self._gate:
            self._stopping = True
            self._gate.notify()
        self._thread.join()

    @property
    def waiting(self) -> int:
        """Requests that hold no slot yet."""
        return len(self._submitted) + len(self.scheduler.waiting)

    def _run(self) -> None:
        reason = "the model was closed before the answer was complete"
        try:
            while self._admit():
                self._step()
                self._hand_out()
        except Exception as error:
            _logger.exception("the engine's thread ended")
            reason = f"the engine ended: {error}"
            with self._gate:
                self.broken = reason
        held = [entry.owner for entry in [*self.scheduler.clear(), *self.scheduler.waiting]]
        for job in [*held, *self._submitted]:
            self._refuse(job, reason)
        self._hand_out()

    def _step(self) -> None:
        try:
            self._feed()
            self._decode()
            self._failures = 0
        except Exception as error:
            _logger.exception("a step of the model failed")
            self._step_failed(error)

    def _admit(self) -> bool:
        """Waits for work and takes in what came; False when the engine is to end."""
        with self._gate:
            while not (self._submitted or self._left or self.scheduler.busy or self._stopping):
                self._gate.wait()
            if self._stopping:
                return False
            while self._submitted:
                self.scheduler.submit(self._submitted.popleft().entry)
            left = list(self._left)
            self._left.clear()
        for job in left:
            if job.running:
                self.counters.cancelled += 1  # before its slot is seen to be free
                self._drop(job.entry)
        return True

    def _feed(self) -> None:
        """Feeds prompts, at most one piece's worth of tokens, so that decoding goes on."""
        budget = self.scheduler.chunk
        while (piece := self.scheduler.next_piece(budget)) is not None:
            job = piece.entry.owner
            ids = job.prompt.ids[piece.start : piece.stop]
            logits = self._decoder.prefill(piece.row, ids, piece.start)
            budget -= len(ids)
            self.counters.prefill_tokens += len(ids)
            self._move(self.scheduler.fed(piece))
            if piece.entry.choices:
                job.start(self._vocabulary, self._stop_ids, self._decoder.config.call_id)
                choices = list(piece.entry.choices)
                self._sample(np.repeat(logits, len(choices), axis=0), choices)

    def _decode(self) -> None:
        """One more token for every choice in the batch."""
        choices = list(self.scheduler.active)
        if not choices:
            return
        feeding = self.scheduler.feeding
        logits = self._decoder.decode(
            [choice.token for choice in choices],
            [choice.length for choice in choices],
            0 if feeding is None else feeding.fed,
        )
        for choice in choices:
            choice.length += 1
        self.counters.steps += 1
        self._sample(logits, choices)

    def _sample(self, logits: Floats, choices: list[Choice[Job]]) -> None:
        voices = [choice.entry.owner.voices[choice.index] for choice in choices]
        # Log-probabilities are those of the model, and sampling changes the logits.
        raw = {
            n: logits[n].copy()
            for n, choice in enumerate(choices)
            if choice.entry.owner.plan.logprobs is not None
        }
        for n, voice in enumerate(voices):
            allowed = voice.allowed()
            if allowed is not None:
                restrict(logits[n], allowed)
        tokens = self._choose(logits, [voice.row for voice in voices])
        self.counters.tokens += len(tokens)
        for n, (choice, token) in enumerate(zip(choices, tokens, strict=True)):
            choice.token = token
            job = choice.entry.owner
            if not job.running:
                continue
            try:
                self._take(choice, token, raw.get(n))
            except Exception as error:
                _logger.exception("the answer of a request could not be made")
                self._drop(choice.entry)
                self._fail(job, error)

    def _take(self, choice: Choice[Job], token: int, raw: Floats | None) -> None:
        """Turns a token into chunks; ends the choice where the token or a limit says so."""
        job = choice.entry.owner
        voice = job.voices[choice.index]
        voice.made += 1
        entry = None
        if raw is not None:
            entry = logprob(raw, token, job.plan.logprobs or 0, self._vocabulary)
        chunk = voice.answer.push(token, entry)
        chunks = [] if chunk is None else [chunk]
        if voice.answer.finish is None and voice.made >= job.limit:
            chunks.append(voice.answer.end("length"))
        if voice.answer.finish is not None:
            self._move(self.scheduler.leave(choice))
            job.running -= 1
            if not job.running:
                chunks[-1] = job.with_usage(chunks[-1])
                self._ended[job] = None
                self.counters.finished += 1
        if chunks:
            self._parcels.setdefault(job, []).extend(chunks)

    def _step_failed(self, error: Exception) -> None:
        """Fails what held rows, whose contents are unknown now; the waiting ones stay."""
        for entry in self.scheduler.clear():
            self._fail(entry.owner, error)
        self._failures += 1
        if self._failures < _PATIENCE:
            return
        with self._gate:
            self.broken = f"{self._failures} steps of the model failed in a row: {error}"
            while self._submitted:
                self.scheduler.submit(self._submitted.popleft().entry)
        while self.scheduler.waiting:
            self._refuse(self.scheduler.waiting.popleft().owner, self.broken)

    def _refuse(self, job: Job, reason: str) -> None:
        job.running = 0
        self._ended[job] = ModelNotReady(reason)

    def _fail(self, job: Job, cause: Exception) -> None:
        job.running = 0
        failure = ServerError(f"the model failed in a step: {cause}")
        failure.__cause__ = cause
        self._ended[job] = failure
        self.counters.failed += 1

    def _drop(self, entry: Entry[Job]) -> None:
        self._move(self.scheduler.drop(entry))
        entry.owner.running = 0

    def _move(self, moves: list[Move]) -> None:
        for move in moves:
            self._decoder.copy(*move)

    def _hand_out(self) -> None:
        """Sends what the step made, with one call per event loop."""
        loops: dict[AbstractEventLoop, list[Parcel]] = {}
        for job in self._parcels | self._ended:
            last = job in self._ended
            parcel = (job.inbox, self._parcels.get(job, []), last, self._ended.get(job))
            loops.setdefault(job.inbox.loop, []).append(parcel)
        self._parcels = {}
        self._ended = {}
        for loop, parcels in loops.items():
            try:
                loop.call_soon_threadsafe(deliver, parcels)
            except RuntimeError:
                # Its readers are gone with it: nobody else will cancel their jobs.
                _logger.warning("an event loop was closed with %d answers open", len(parcels))
                self._abandon(loop)

    def _abandon(self, loop: AbstractEventLoop) -> None:
        with self._gate:
            for entry in [*self.scheduler.holding(), *self.scheduler.waiting]:
                if entry.owner.inbox.loop is loop:
                    self._left.append(entry.owner)
