// Hunts for torn, lost and doubled messages between threads; hunt_words.h and HuntResult come first.
#include <atomic>
#include <thread>
#include <vector>

// One producer, one consumer, `messages` slots of `lines` lines in a ring of `capacity`.
extern "C" void ac_hunt(ac_u64 messages, ac_u32 capacity, ac_u32 lines, ac_hunt_result* result) {
  std::vector<ac_line> ring((size_t)capacity * lines);
  alignas(128) ac_u32 credit = 0;
  const ac_u32 most = AC_INLINE_STAMPED + AC_MORE * (lines - 1);
  std::thread producer([&] {
    ac_u32 seen = 0;
    for (ac_u64 i = 0; i < messages; i++) {
      const ac_u32 n = (ac_u32)i;
      while (n - seen >= capacity) {
        seen = ac_ld32(&credit);
        if (n - seen >= capacity) std::this_thread::yield();
      }
      ac_put(&ring[(size_t)(n & (capacity - 1)) * lines], n, ac_hunt_head(n, most),
             [n](ac_u32 k) { return ac_hunt_word(n, k); });
    }
  });
  ac_u64 torn = 0, polls = 0;
  std::vector<ac_u32> data(12 * lines + 12);
  for (ac_u64 i = 0; i < messages; i++) {
    const ac_u32 n = (ac_u32)i;
    ac_head head;
    while (!ac_take(&ring[(size_t)(n & (capacity - 1)) * lines], n, lines, &head,
                    [&](ac_u32) { return ac_hunt_size(n, most); },
                    [&](ac_u32 k, ac_u32 w) { data[k] = w; })) {
      if (++polls % 64 == 0) std::this_thread::yield();
    }
    const ac_head sent = ac_hunt_head(n, most);
    bool same = head.word0 == sent.word0 && head.dest == sent.dest && head.corr == sent.corr &&
                head.size == sent.size;
    if (ac_is_stamped(head.word0))
      same = same && head.clock == sent.clock && head.source == sent.source &&
             head.deadline == sent.deadline;
    for (ac_u32 k = 0; k < sent.size / 4; k++) same = same && data[k] == ac_hunt_word(n, k);
    torn += !same;
    if (n % (capacity / 4) == 0) ac_st32(&credit, n + 1);
  }
  producer.join();
  *result = {messages, torn, polls};
}

// `producers` threads put `each` slots of one line with ac_claim; the consumer sees each of them
// once, and those of one producer in order.
extern "C" void ac_hunt_many(ac_u32 producers, ac_u32 each, ac_u32 capacity, ac_hunt_result* result) {
  std::vector<ac_line> ring(capacity);
  alignas(128) ac_u32 credit = 0;
  alignas(128) ac_tickets tickets = {0, capacity};
  std::vector<std::thread> threads;
  for (ac_u32 p = 0; p < producers; p++)
    threads.emplace_back([&, p] {
      for (ac_u32 i = 0; i < each;) {
        const ac_u32 wanted = 1 + (i + p) % 3 < each - i ? 1 + (i + p) % 3 : 1;
        ac_u32 first;
        const ac_u32 n = ac_claim(&tickets, &credit, capacity, wanted, &first);
        if (n == 0) std::this_thread::yield();
        for (ac_u32 k = 0; k < n; k++, i++)
          ac_put(&ring[(first + k) & (capacity - 1)], first + k,
                 {AC_USER, p, i, 0, 0, 0, AC_INLINE},
                 [&](ac_u32 w) { return ac_hunt_word(p * each + i, w); });
      }
    });
  ac_u64 torn = 0, polls = 0;
  std::vector<ac_u32> next(producers);
  const ac_u64 messages = (ac_u64)producers * each;
  for (ac_u64 at = 0; at < messages; at++) {
    const ac_u32 n = (ac_u32)at;
    ac_head head;
    ac_u32 data[9] = {};
    while (!ac_take(&ring[n & (capacity - 1)], n, 1, &head, [](ac_u32) { return AC_INLINE; },
                    [&](ac_u32 k, ac_u32 w) { data[k] = w; }))
      if (++polls % 64 == 0) std::this_thread::yield();
    bool same = head.dest < producers && head.corr == next[head.dest % producers]++;
    for (ac_u32 k = 0; k < 9 && same; k++)
      same = data[k] == ac_hunt_word(head.dest * each + head.corr, k);
    torn += !same;
    if (n % (capacity / 4) == 0) ac_st32(&credit, n + 1);
  }
  for (auto& thread : threads) thread.join();
  *result = {messages, torn, polls};
}
