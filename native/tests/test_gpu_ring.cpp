#include <actinium/gpu_ring.hpp>
#include <cstdlib>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "check.hpp"

using actinium::gpu::Attached;
using actinium::gpu::Byte;
using actinium::gpu::FromBlock;
using actinium::gpu::get_chunk;
using actinium::gpu::Head;
using actinium::gpu::lines_for;
using actinium::gpu::put_chunk;
using actinium::gpu::Region;
using actinium::gpu::ToBlock;

namespace {

constexpr std::uint64_t kProgram = 42;

struct Free {
  void operator()(Byte* p) const { std::free(p); }
};

// A region of one block, in memory of exactly its size: a step beyond it is an error to ASan.
struct Memory {
  std::unique_ptr<Byte, Free> bytes;
  ac_config config = {};
  Region region;

  Memory(std::uint32_t capacity, std::uint32_t in_lines, std::uint32_t out_lines) {
    ac_config& c = config;
    c.magic = AC_MAGIC;
    c.program = kProgram;
    c.blocks = 1;
    c.actors = 4;
    c.capacity = capacity;
    c.in_lines = in_lines;
    c.out_lines = out_lines;
    c.units = 1;
    c.host_line = 256;
    c.host_blocks = 384;
    c.dev_blocks = 512;
    c.kills = 640;
    c.inits = 768;
    c.h2k = 768;
    c.k2h = c.h2k + std::uint64_t{capacity} * in_lines * AC_LINE;
    c.size = c.k2h + std::uint64_t{capacity} * out_lines * AC_LINE;
    bytes.reset(static_cast<Byte*>(std::aligned_alloc(64, c.size)));
    std::memset(bytes.get(), 0, c.size);
    write();
  }
  void write() { std::memcpy(bytes.get(), &config, sizeof config); }
  Attached attach() { return region.attach(bytes.get(), config.size, kProgram); }
  ac_dev_block* dev() { return reinterpret_cast<ac_dev_block*>(bytes.get() + config.dev_blocks); }
  ac_host_block* host() {
    return reinterpret_cast<ac_host_block*>(bytes.get() + config.host_blocks);
  }
};

std::uint32_t size_of(std::uint32_t number) { return number * 7 % 150; }
Byte byte_of(std::uint32_t number, std::uint32_t at) {
  return static_cast<Byte>(number * 31 + at * 7 + 1);
}

// The other side in its plainest form: what it takes it puts back.
void echo(Memory& m, std::uint32_t count) {
  const ac_config& c = m.config;
  std::vector<Byte> data(c.in_lines * 48);
  for (std::uint32_t n = 0; n < count; n++) {
    const Byte* const in =
        m.bytes.get() + c.h2k + std::uint64_t{n & (c.capacity - 1)} * c.in_lines * AC_LINE;
    const std::uint32_t chunks = 4 * lines_for(size_of(n), false);
    for (std::uint32_t i = 0; i < chunks;) {
      if (get_chunk(in + i * 16, n + 1, data.data() + i * 12)) i++;
    }
    if ((n & 3) == 3) __atomic_store_n(&m.dev()->h2k_read, n + 1, __ATOMIC_RELEASE);
    while (n - __atomic_load_n(&m.host()->k2h_read, __ATOMIC_ACQUIRE) >= c.capacity) {
      std::this_thread::yield();
    }
    Byte* const out =
        m.bytes.get() + c.k2h + std::uint64_t{n & (c.capacity - 1)} * c.out_lines * AC_LINE;
    for (std::uint32_t i = 0; i < chunks; i++) {  // the head first: any order of arrival will do
      put_chunk(out + i * 16, n + 1, data.data() + i * 12);
    }
  }
}

}  // namespace

TEST(rg_2_3_4_messages_of_all_sizes_come_back_whole_once_and_in_order) {
  for (const std::uint32_t capacity : {16u, 64u}) {
    Memory m(capacity, 4, 4);
    CHECK(m.attach() == Attached::ok);
    ToBlock to;
    FromBlock from;
    to.open(m.region, 0);
    from.open(m.region, 0);
    const std::uint32_t count =
        static_cast<std::uint32_t>((check::kSanitized ? 5'000 : 100'000) * check::scale());
    std::thread device([&] { echo(m, count); });
    std::uint32_t put = 0, got = 0;
    std::vector<Byte> data(from.data_room());
    Byte out[160];
    while (got < count) {
      while (put < count && to.has_room()) {
        Head h;
        h.kind = AC_USER;
        h.dest = put;
        h.corr = ~put;
        h.size = size_of(put);
        std::memset(out, 0, sizeof out);
        for (std::uint32_t i = 0; i < h.size; i++)
          out[i] = byte_of(put, i);
        to.put(h, out);
        put++;
        CHECK(put - __atomic_load_n(&m.dev()->h2k_read, __ATOMIC_ACQUIRE) <= capacity);
      }
      Head h;
      const bool taken =
          from.take(h, data.data(), [](const Head& head) { return size_of(head.dest); });
      if (!taken) {
        from.post();
        std::this_thread::yield();
        continue;
      }
      CHECK(h.kind == AC_USER && h.dest == got && h.corr == ~got && h.size == size_of(got));
      for (std::uint32_t i = 0; i < h.size; i++)
        CHECK(data[i] == byte_of(got, i));
      got++;
    }
    device.join();
    CHECK(!from.ready() && to.waiting() <= 3);
  }
}

TEST(
    rg_3_a_full_ring_takes_nothing_until_there_is_credit_and_no_credit_is_believed_that_cannot_be) {
  Memory m(16, 1, 1);
  CHECK(m.attach() == Attached::ok);
  ToBlock to;
  to.open(m.region, 0);
  Byte none[48] = {};
  for (int i = 0; i < 16; i++) {
    CHECK(to.has_room());
    to.put(Head(), none);
  }
  CHECK(!to.has_room() && to.waiting() == 16);
  m.dev()->h2k_read = 17;  // more than was ever put
  CHECK(!to.has_room());
  m.dev()->h2k_read = 0xFFFFFFF0;
  CHECK(!to.has_room());
  m.dev()->h2k_read = 4;
  CHECK(to.room() == 4);
}

TEST(rg_1_a_slot_is_taken_only_when_each_of_its_chunks_has_come) {
  Memory m(16, 3, 3);
  CHECK(m.attach() == Attached::ok);
  FromBlock from;
  from.open(m.region, 0);
  std::vector<Byte> data(from.data_room());
  Byte* const slot = m.bytes.get() + m.config.k2h;
  const Byte piece[12] = {0, 1, AC_FLAG_STAMPED};
  for (int i = 11; i > 0; i--) {
    put_chunk(slot + i * 16, 1, piece);
    Head h;
    CHECK(!from.take(h, data.data(), [](const Head&) { return 100; }));
  }
  const std::uint32_t third[3] = {0, 84, 0};  // deadline, size
  Byte words[12];
  std::memcpy(words, third, 12);
  put_chunk(slot + 32, 1, words);
  put_chunk(slot, 1, piece);
  Head h;
  CHECK(from.take(h, data.data(), [](const Head&) { return 0; }));
  CHECK(h.size == 84 && h.kind == 0x100 && h.flags == AC_FLAG_STAMPED);
  CHECK(!from.take(h, data.data(), [](const Head&) { return 0; }));
}

TEST(an_end_over_random_bytes_stays_within_its_region) {
  check::Random random(7);
  for (int round = 0; round < 300; round++) {
    Memory m(16, 1 + static_cast<std::uint32_t>(random.below(4)),
             1 + static_cast<std::uint32_t>(random.below(4)));
    CHECK(m.attach() == Attached::ok);
    ToBlock to;
    FromBlock from;
    to.open(m.region, 0);
    from.open(m.region, 0);
    for (std::uint64_t i = sizeof(ac_config); i < m.config.size; i++) {
      m.bytes.get()[i] = static_cast<Byte>(random.next());
    }
    const std::uint32_t out_chunks = 4 * m.config.out_lines;
    for (std::uint32_t n = 0; n < 16; n++) {
      for (std::uint32_t i = 0; i < out_chunks; i++) {
        Byte piece[12];
        const std::uint64_t a = random.next(), b = random.next();
        std::memcpy(piece, &a, 8);
        std::memcpy(piece + 8, &b, 4);
        put_chunk(m.bytes.get() + m.config.k2h + (n * out_chunks + i) * 16, n + 1, piece);
      }
    }
    std::vector<Byte> data(from.data_room());
    std::uint32_t taken = 0;
    Head h;
    while (from.take(h, data.data(), [&](const Head&) { return random.next(); })) {
      CHECK(h.size <= m.config.out_lines * 48);
      taken++;
    }
    CHECK(taken == 16);
    CHECK(to.room() <= 16);
    std::vector<Byte> sent(m.config.in_lines * 48);
    for (std::uint32_t n = 0; n < 16; n++) {
      CHECK(to.look(n, sent.data()).size <= m.config.in_lines * 48);
    }
  }
}

TEST(ly_3_a_configuration_with_any_number_changed_is_refused_or_harmless) {
  check::Random random(11);
  for (int round = 0; round < 4000; round++) {
    Memory m(16, 2, 2);
    Byte* const at = reinterpret_cast<Byte*>(&m.config);
    const std::uint64_t real = m.config.size;
    const std::uint64_t where = random.below(sizeof(ac_config) / 4) * 4;
    std::uint32_t value = static_cast<std::uint32_t>(random.next());
    if (random.below(2) == 0) value >>= random.below(32);
    std::memcpy(at + where, &value, 4);
    std::memcpy(m.bytes.get(), at, sizeof m.config);
    if (m.region.attach(m.bytes.get(), real, kProgram) != Attached::ok) continue;
    ToBlock to;
    FromBlock from;
    to.open(m.region, 0);
    from.open(m.region, 0);
    std::vector<Byte> out(48), data(from.data_room());
    while (to.has_room())
      to.put(Head(), out.data());
    Head h;
    from.take(h, data.data(), [](const Head&) { return 0; });
    from.post();
    (void)m.region.host()->parked;
  }
}
