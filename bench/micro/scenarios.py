"""The scenarios of the actor core: what each does, its size and the figure it is judged by."""

from __future__ import annotations

from bench.harness import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("tell", "one actor floods another with N small ints; plain handler", 1_000_000,
             goal="15 M/s"),
    Scenario("tell_burst", "the same in bursts of 256, each awaited before the next",
             1_000_000),
    Scenario("tell_many", "lists of 1000 ints into a handler that takes up to 64 at a time, "
             "each sixteenth list awaited",
             3_000_000, goal="35 M/s"),
    Scenario("forward", "one actor hands each of N/2 messages on to another; N handled; "
             "handlers do nothing else", 1_000_000, goal="15 M/s"),
    Scenario("fanin", "1000 actors send N ints in total to one", 1_000_000),
    Scenario("ring", "a token makes N hops around 503 actors", 1_000_000, goal="6 M/s"),
    Scenario("ask1", "one actor asks another N times, one at a time", 500_000, goal="4 M/s"),
    Scenario("ask1000", "1000 such pairs side by side, N round trips in total", 500_000),
    Scenario("async", "tell to an async handler that does not suspend", 500_000, goal="5 M/s"),
    Scenario("async_yield", "tell to an async handler that awaits asyncio.sleep(0)", 200_000),
    Scenario("stream", "N items of an async generator handler, read one by one", 200_000),
    Scenario("timer", "N actors x 10 messages; each handler waits 10 ms; ideal is 1.0", 1000,
             metric="times_ideal", unit="x ideal", divisor=1),
    Scenario("spawn", "N actors until the last has answered", 1_000_000,
             extras=("bytes_beyond_object", "bytes_after_message"),
             goal="1 M/s, at most 350 bytes beyond the user's object"),
    Scenario("lateness", "1 ms timers of other asyncio work during N ms of flood; p99", 3000,
             metric="p99_ms", unit="ms", divisor=1,
             extras=("p50_ms", "p99_9_ms", "turn_p50_ms", "turn_p99_ms", "turn_p99_9_ms",
                     "flood_per_s"),
             goal="p99 below 5 ms"),
    Scenario("population", "N messages to 1,000 and to 1,000,000 actors; cost against cost",
             2_000_000, metric="times_ideal", unit="x of 1,000 actors", divisor=1,
             extras=("ns_at_1000", "ns_at_10000", "ns_at_100000", "ns_at_1000000"),
             goal="1.3 at most"),
    Scenario("half_load", "asks on a schedule at half of what the caller can reach; p99.9",
             200_000, metric="p99_9_ms", unit="ms", divisor=1,
             extras=("p50_ms", "p99_ms", "own_p50_ms", "own_p99_9_ms", "asks_per_s")),
    Scenario("threads", "a plain thread tells an actor on the loop's thread", 500_000),
)  # fmt: skip

BY_NAME = {s.name: s for s in SCENARIOS}
