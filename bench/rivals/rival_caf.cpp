// Rival: C++ Actor Framework 0.17 (Debian's libcaf-dev), event-based actors, one worker thread.
//   build/rivals/rival_caf WORKLOAD N
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "caf/all.hpp"

using namespace caf;

namespace {

constexpr long kRing = 503;
constexpr long kPairs = 1000;
constexpr int kWaits = 10;
constexpr std::chrono::milliseconds kWait{10};

using tick_a = atom_constant<atom("tick")>;
using start_a = atom_constant<atom("start")>;
using done_a = atom_constant<atom("done")>;
using next_a = atom_constant<atom("next")>;
using hop_a = atom_constant<atom("hop")>;

struct Result {
  double seconds = 0;
  double cpu_seconds = 0;
  std::string extra;
};

long resident() {
  std::ifstream f("/proc/self/statm");
  long size = 0, pages = 0;
  f >> size >> pages;
  return pages * sysconf(_SC_PAGESIZE);
}

struct Count {
  long n = 0;
};
behavior counter(stateful_actor<Count>* self, long want, actor who) {
  return {[=](int) {
            if (++self->state.n == want) self->send(who, done_a::value);
          },
          [=](start_a) { return done_a::value; }};
}

behavior flooder(event_based_actor* self, actor to, long n) {
  return {[=](start_a) {
    for (long i = 0; i < n; ++i) self->send(to, int(i));
  }};
}

behavior echo(event_based_actor*) {
  return {[](int i) { return i; }};
}

struct Left {
  long n = 0;
};
void ask_on(stateful_actor<Left>* self, actor to, actor who) {
  if (self->state.n-- == 0) {
    self->send(who, done_a::value);
    return;
  }
  self->request(to, infinite, 1).then([=](int) { ask_on(self, to, who); });
}
behavior asker(stateful_actor<Left>* self, actor to, long n, actor who) {
  self->state.n = n;
  return {[=](start_a) { ask_on(self, to, who); }};
}

struct Next {
  actor next;
};
behavior ring_node(stateful_actor<Next>* self, actor who) {
  return {[=](next_a, actor n) { self->state.next = n; },
          [=](hop_a, long k) {
            if (k) {
              self->send(self->state.next, hop_a::value, k - 1);
            } else {
              self->send(who, done_a::value);
            }
          }};
}

// Takes the next message only once its wait is over, with a count of its own: CAF's actors
// cannot await in a handler.
struct Pending {
  int waiting = 0, handled = 0;
};
behavior sleeper(stateful_actor<Pending>* self, actor who) {
  return {[=](int) {
            if (++self->state.waiting == 1) self->delayed_send(self, kWait, tick_a::value);
          },
          [=](tick_a) {
            --self->state.waiting;
            if (++self->state.handled == kWaits) self->send(who, done_a::value);
            if (self->state.waiting) self->delayed_send(self, kWait, tick_a::value);
          }};
}

Result run(const std::string& w, long n) {
  actor_system_config config;
  config.set("scheduler.max-threads", size_t(1));
  actor_system system{config};
  scoped_actor me{system};
  const actor self = actor_cast<actor>(me);
  Result result;
  std::chrono::steady_clock::time_point began;
  std::clock_t cpu_began = 0;
  const auto start = [&] {
    cpu_began = std::clock();
    began = std::chrono::steady_clock::now();
  };
  const auto wait = [&](long k) {
    for (long i = 0; i < k; ++i) me->receive([](done_a) {});
    const auto took = std::chrono::steady_clock::now() - began;
    result.seconds = std::chrono::duration<double>(took).count();
    result.cpu_seconds = double(std::clock() - cpu_began) / CLOCKS_PER_SEC;
  };
  std::vector<actor> actors;
  if (w == "spawn") {
    actors.reserve(n);
    const long before = resident();
    start();
    for (long i = 0; i < n; ++i) actors.push_back(system.spawn(counter, -1L, self));
    me->send(actors.back(), start_a::value);
    wait(1);
    result.extra = ", \"bytes_beyond_object\": " + std::to_string((resident() - before) / n);
    for (auto& a : actors) anon_send_exit(a, exit_reason::user_shutdown);
  } else if (w == "tell" || w == "fanin") {
    const long senders = w == "tell" ? 1 : kPairs;
    const auto to = system.spawn(counter, n / senders * senders, self);
    for (long i = 0; i < senders; ++i) actors.push_back(system.spawn(flooder, to, n / senders));
    start();
    for (auto& a : actors) anon_send(a, start_a::value);
    wait(1);
    anon_send_exit(to, exit_reason::user_shutdown);
  } else if (w == "ask1" || w == "ask1000") {
    const long pairs = w == "ask1" ? 1 : kPairs;
    for (long i = 0; i < pairs; ++i) {
      actors.push_back(system.spawn(asker, system.spawn(echo), n / pairs, self));
    }
    start();
    for (auto& a : actors) anon_send(a, start_a::value);
    wait(pairs);
  } else if (w == "ring") {
    for (long i = 0; i < kRing; ++i) actors.push_back(system.spawn(ring_node, self));
    for (long i = 0; i < kRing; ++i) {
      anon_send(actors[i], next_a::value, actors[(i + 1) % kRing]);
    }
    start();
    anon_send(actors[0], hop_a::value, n);
    wait(1);
    for (auto& a : actors) anon_send_exit(a, exit_reason::user_shutdown);
  } else if (w == "timer") {
    for (long i = 0; i < n; ++i) actors.push_back(system.spawn(sleeper, self));
    start();
    for (auto& a : actors) {
      for (int i = 0; i < kWaits; ++i) anon_send(a, i);
    }
    wait(n);
    const double ideal = kWaits * std::chrono::duration<double>(kWait).count();
    result.extra = ", \"times_ideal\": " + std::to_string(result.seconds / ideal);
  } else {
    std::fprintf(stderr, "unknown workload %s\n", w.c_str());
    _exit(2);
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  const long n = argc == 3 ? std::atol(argv[2]) : 0;
  if (n < 1) {
    std::fprintf(stderr, "usage: rival_caf WORKLOAD N\n");
    return 2;
  }
  const std::string w = argv[1];
  const long warm = w == "spawn" ? kPairs : std::max(n / 10, kPairs);
  run(w, std::min(n, warm));
  const Result r = run(w, n);
  const long handled = w == "timer" ? n * kWaits : n;
  std::printf("{\"workload\": \"%s\", \"n\": %ld, \"seconds\": %.6f, \"rate\": %.1f, "
              "\"on_core\": %.3f, \"version\": \"CAF %d\"%s}\n",
              w.c_str(), n, r.seconds, double(handled) / r.seconds, r.cpu_seconds / r.seconds,
              CAF_VERSION, r.extra.c_str());
  std::fflush(stdout);
  _exit(0);
}
