%% Rival: Erlang/OTP with bare processes (spawn, !, receive), one scheduler.
%%   erl +P 4000000 +S 1:1 -noshell -pa build/rivals -run rival_erlang main WORKLOAD N
-module(rival_erlang).
-export([main/1]).

-define(RING, 503).
-define(PAIRS, 1000).
-define(WAITS, 10).
-define(WAIT_MS, 10).

main([Workload, Size]) ->
    W = list_to_atom(Workload),
    N = list_to_integer(Size),
    Warm = case W of spawn -> min(N, 1000); _ -> max(N div 10, min(N, ?PAIRS)) end,
    _ = run(W, Warm),
    erlang:garbage_collect(),
    {Cpu0, _} = erlang:statistics(runtime),
    {Seconds, Extra} = run(W, N),
    {Cpu1, _} = erlang:statistics(runtime),  % milliseconds, with what run sets up
    OnCore = min(1.0, (Cpu1 - Cpu0) / 1000 / Seconds),
    Done = case W of timer -> N * ?WAITS; _ -> N end,
    Ideal = case W of
                timer -> io_lib:format(", \"times_ideal\": ~.3f",
                                       [Seconds * 1000 / (?WAITS * ?WAIT_MS)]);
                _ -> ""
            end,
    io:format("{\"workload\": \"~s\", \"n\": ~b, \"seconds\": ~.6f, \"rate\": ~.1f, "
              "\"on_core\": ~.3f, \"version\": \"OTP ~s\"~s~s}~n",
              [W, N, Seconds, Done / Seconds, OnCore, erlang:system_info(otp_release), Ideal, Extra]),
    halt(0).

now_s() -> erlang:monotonic_time(nanosecond) / 1.0e9.

resident() ->
    {ok, Text} = file:read_file("/proc/self/status"),
    {match, [Kb]} = re:run(Text, "VmRSS:\\s+(\\d+) kB", [{capture, all_but_first, list}]),
    list_to_integer(Kb) * 1024.

%% Counts what it handles and tells Who once Want came.
counter(Want, Want, Who) -> Who ! done, counter(0, -1, Who);
counter(Count, Want, Who) ->
    receive
        {ping, From} -> From ! pong, counter(Count, Want, Who);
        _ -> counter(Count + 1, Want, Who)
    end.

flood(_, 0) -> ok;
flood(To, K) -> To ! K, flood(To, K - 1).

echo() -> receive {From, Ref, M} -> From ! {Ref, M}, echo() end.

ask(_, 0, Who) -> Who ! done;
ask(Echo, K, Who) ->
    Ref = make_ref(),
    Echo ! {self(), Ref, K},
    receive {Ref, _} -> ask(Echo, K - 1, Who) end.

ring_node(Next, Who) ->
    receive
        {next, Process} -> ring_node(Process, Who);
        0 -> Who ! done, ring_node(Next, Who);
        K -> Next ! K - 1, ring_node(Next, Who)
    end.

sleeper(0, Who) -> Who ! done;
sleeper(K, Who) ->
    receive work -> receive after ?WAIT_MS -> ok end, sleeper(K - 1, Who) end.

on_go(F) -> spawn(fun() -> receive go -> F() end end).

wait(0) -> ok;
wait(K) -> receive done -> wait(K - 1) end.

start_and_wait(Processes, Message, Count) ->
    T = now_s(),
    [P ! Message || P <- Processes],
    wait(Count),
    {now_s() - T, ""}.

run(spawn, N) ->
    R0 = resident(),
    T = now_s(),
    Processes = [spawn(fun() -> counter(0, -1, self()) end) || _ <- lists:seq(1, N)],
    lists:last(Processes) ! {ping, self()},
    receive pong -> ok end,
    Seconds = now_s() - T,
    Bytes = (resident() - R0) / N,
    [exit(P, kill) || P <- Processes],
    {Seconds, io_lib:format(", \"bytes_beyond_object\": ~.1f", [Bytes])};
run(W, N) when W =:= tell; W =:= fanin ->
    Senders = case W of tell -> 1; fanin -> ?PAIRS end,
    Me = self(),
    Counter = spawn(fun() -> counter(0, N div Senders * Senders, Me) end),
    Floods = [on_go(fun() -> flood(Counter, N div Senders) end) || _ <- lists:seq(1, Senders)],
    start_and_wait(Floods, go, 1);
run(W, N) when W =:= ask1; W =:= ask1000 ->
    Pairs = case W of ask1 -> 1; ask1000 -> ?PAIRS end,
    Me = self(),
    Askers = [begin
                  Echo = spawn(fun echo/0),
                  on_go(fun() -> ask(Echo, N div Pairs, Me) end)
              end || _ <- lists:seq(1, Pairs)],
    start_and_wait(Askers, go, Pairs);
run(ring, N) ->
    Me = self(),
    Nodes = [spawn(fun() -> ring_node(none, Me) end) || _ <- lists:seq(1, ?RING)],
    lists:foreach(fun({A, B}) -> A ! {next, B} end, lists:zip(Nodes, tl(Nodes) ++ [hd(Nodes)])),
    start_and_wait([hd(Nodes)], N, 1);
run(timer, N) ->
    Me = self(),
    Sleepers = [spawn(fun() -> sleeper(?WAITS, Me) end) || _ <- lists:seq(1, N)],
    T = now_s(),
    [S ! work || S <- Sleepers, _ <- lists:seq(1, ?WAITS)],
    wait(N),
    {now_s() - T, ""}.
