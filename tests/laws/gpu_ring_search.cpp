// Every order in which the two sides of a small ring can pass each other, over rings.h as it is.
// A chunk that was stored is on its way until it arrives: chunks at different places of a line
// travel apart, so they arrive in any order.
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <utility>

#include "explorer.hpp"

#define AC_FN static inline
// BASICS
// ABI
// RINGS BEFORE

static bool apart;  // chunks travel, each kind on a wire of its own
static std::deque<std::pair<ac_chunk*, ac_chunk>> wires[4];

static void step(const char* what, const void* place, bool writes) {
  explore::detail::Search::active()->announce({what, place, nullptr, writes, nullptr});
}
static ac_u32 chunk_of(const void* p) { return (ac_u32)((size_t)p >> 4 & 3); }
static const ac_chunk* last_read;
AC_FN ac_chunk ac_ld16(const ac_chunk* p) {
  last_read = p;
  if (apart || chunk_of(p) == 0) step("reads", p, false);
  return *p;
}
AC_FN void ac_st16(ac_chunk* p, ac_chunk c) {
  if (apart) {
    wires[chunk_of(p)].push_back({p, c});  // sent with all others of its slot; it arrives alone
  } else {
    if (chunk_of(p) == 0) step("writes", p, true);
    *p = c;
  }
}
AC_FN ac_u32 ac_ld32(const ac_u32* p) { step("reads", p, false); return *p; }
AC_FN void ac_st32(ac_u32* p, ac_u32 v) { step("writes", p, true); *p = v; }
AC_FN ac_u32 ac_near_ld(const ac_u32* p) { step("reads", p, false); return *p; }
AC_FN void ac_near_st(ac_u32* p, ac_u32 v) { step("writes", p, true); *p = v; }
AC_FN ac_u32 ac_near_cas(ac_u32* p, ac_u32 expected, ac_u32 v) {
  step("compares and exchanges", p, true);
  const ac_u32 old = *p;
  if (old == expected) *p = v;
  return old;
}

// RINGS AFTER

// Until a word is as wanted: a poll that fails changes nothing, so it need not be tried.
template <class F> static void await(const void* place, F as_wanted) {
  explore::detail::Search::active()->announce({"waits", place, nullptr, false, as_wanted});
}
static ac_u32 word_of(ac_u32 n, ac_u32 k) { return n * 100 + k + 7; }

struct Ring {
  ac_u32 capacity, lines;
  alignas(64) ac_line slots[8] = {};
  ac_u32 credit = 0, taken = 0;

  Ring(ac_u32 capacity, ac_u32 lines) : capacity(capacity), lines(lines) {}
  ac_line* slot(ac_u32 n) { return &slots[(n & (capacity - 1)) * lines]; }
  ac_u32 size() const { return lines == 1 ? 8 : AC_INLINE + 8; }
  void put(ac_u32 n, ac_u32 from) {
    EXPLORE((ac_i32)(n - taken) < (ac_i32)capacity);  // RG-3
    if (apart) step("sends", &wires, true);
    ac_put(slot(n), n, {AC_USER, from, n, 0, 0, 0, size()}, [n](ac_u32 k) { return word_of(n, k); });
  }
  // The next slot; every word of it is of its number.
  ac_u32 take() {
    const ac_u32 n = taken;
    ac_head head;
    bool right = true;
    while (!ac_take(slot(n), n, lines, &head, [this](ac_u32) { return size(); },
                    [&](ac_u32 k, ac_u32 w) {
                      if (k < size() / 4) right = right && w == word_of(n, k);
                    })) {
      right = true;
      const ac_chunk* const missing = last_read;
      await(apart ? missing : slot(n)->c, [missing, n] { return missing->tag == n + 1; });
    }
    EXPLORE(right && head.corr == n);  // RG-1
    taken = n + 1;
    ac_st32(&credit, taken);
    return head.dest;
  }
};

static explore::Result one_to_one(ac_u32 capacity, ac_u32 lines, ac_u32 messages, ac_u32 start) {
  apart = true;
  explore::Options options;
  options.max_orders = 20'000'000;
  return explore::all([=](explore::Run& run) {
    Ring ring(capacity, lines);
    ring.taken = ring.credit = start;
    for (ac_u32 n = start; n != start + capacity; n++)  // as the lap before left them
      for (ac_u32 i = 0; i < lines * 4; i++) ring.slot(n)[i / 4].c[i & 3].tag = start ? n + 1 - capacity : 0;
    for (auto& wire : wires) wire.clear();
    run.thread([&] {
      for (ac_u32 n = start; n != start + messages; n++) {
        while (n - ac_ld32(&ring.credit) >= capacity)
          await(&ring.credit, [&, n] { return n - ring.credit < capacity; });
        ring.put(n, 0);
      }
    });
    run.thread([&] {
      for (ac_u32 i = 0; i < messages; i++) ring.take();
    });
    for (auto& wire : wires)
      run.thread([&] {
        for (ac_u32 i = 0; i < messages * lines; i++) {
          explore::detail::Search::active()->announce(
              {"waits", &wires, nullptr, false, [&] { return !wire.empty(); }});
          const bool last = lines > 1;  // else a line's chunk would always come after the next line's
          const auto [place, chunk] = last ? wire.back() : wire.front();
          last ? wire.pop_back() : wire.pop_front();
          step("arrives", place, true);
          *place = chunk;
        }
      });
    if (!run.go()) return;
    EXPLORE(ring.taken == start + messages);
  }, options);
}

static explore::Result many_to_one(ac_u32 capacity, ac_u32 producers, ac_u32 each, ac_u32 wanted) {
  apart = false;
  explore::Options options;
  options.max_orders = 20'000'000;
  return explore::all([=](explore::Run& run) {
    Ring ring(capacity, 1);
    ac_tickets tickets = {0, capacity};
    for (ac_u32 p = 0; p < producers; p++)
      run.thread([&, p] {
        for (ac_u32 sent = 0; sent < each;) {
          ac_u32 first = 0;
          const ac_u32 left = each - sent, n = ac_claim(&tickets, &ring.credit, capacity,
                                                        wanted < left ? wanted : left, &first);
          if (n == 0)
            await(&ring.credit, [&] { return (ac_i32)(ring.credit + capacity - tickets.next) > 0; });
          for (ac_u32 i = 0; i < n; i++, sent++) ring.put(first + i, p * 16 + sent);
        }
      });
    ac_u32 next[4] = {0, 0, 0, 0};
    run.thread([&] {
      for (ac_u32 i = 0; i < producers * each; i++) {
        const ac_u32 from = ring.take();
        EXPLORE(from % 16 == next[from / 16]++);  // RG-2
      }
    });
    if (!run.go()) return;
    EXPLORE(tickets.next == producers * each);  // RG-5
  }, options);
}

int main(int argc, char** argv) {
  const auto number = [&](int i) { return (ac_u32)strtoul(argv[i], nullptr, 10); };
  const explore::Result found = argv[1][0] == 'o' ? one_to_one(number(2), number(3), number(4), number(5))
                                                  : many_to_one(number(2), number(3), number(4), number(5));
  std::printf("%llu orders %s\n", (unsigned long long)found.orders, found.failure.c_str());
  return argc < 6 || !found.ok();
}
