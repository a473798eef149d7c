// The host's ends of one block's rings in a region shared with a resident kernel.
//
// The region is memory that somebody else writes: what lies where is checked once, when it is
// attached, and kept; from then on no number that is read from it is used as a place or a size
// without a bound (the protocol itself: src/actinium/gpu/abi).
//
// A chunk is 12 bytes of data and its tag. The tag is written last and read first, each with the
// high half of the chunk, so a chunk is whole when its tag is there; no slot is written again
// before it was taken (RG-3), so it stays so.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

#include "gpu_abi.h"

namespace actinium::gpu {

using Byte = unsigned char;

inline std::uint32_t lines_for(std::uint64_t size, bool stamped) noexcept {
  const std::uint64_t held = stamped ? AC_INLINE_STAMPED : AC_INLINE;
  return size <= held ? 1 : static_cast<std::uint32_t>(1 + (size - held + AC_MORE - 1) / AC_MORE);
}

// Asks for a line that will be written.
inline void own([[maybe_unused]] Byte* line) noexcept {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*line));  // the compiler's own asks to read, on old machines
#else
  __builtin_prefetch(line, 1);
#endif
}

inline bool get_chunk(const Byte* chunk, std::uint32_t tag, Byte* to) noexcept {
  const auto high =
      __atomic_load_n(reinterpret_cast<const std::uint64_t*>(chunk + 8), __ATOMIC_ACQUIRE);
  if (static_cast<std::uint32_t>(high >> 32) != tag) return false;
  const auto low = __atomic_load_n(reinterpret_cast<const std::uint64_t*>(chunk), __ATOMIC_RELAXED);
  const auto third = static_cast<std::uint32_t>(high);
  std::memcpy(to, &low, 8);
  std::memcpy(to + 8, &third, 4);
  return true;
}

inline void put_chunk(Byte* chunk, std::uint32_t tag, const Byte* from) noexcept {
  std::uint64_t low;
  std::uint32_t third;
  std::memcpy(&low, from, 8);
  std::memcpy(&third, from + 8, 4);
  __atomic_store_n(reinterpret_cast<std::uint64_t*>(chunk), low, __ATOMIC_RELAXED);
  __atomic_store_n(reinterpret_cast<std::uint64_t*>(chunk + 8),
                   static_cast<std::uint64_t>(tag) << 32 | third, __ATOMIC_RELEASE);
}

enum class Attached { ok, too_small, bad_magic, other_program, bad_config };

// A region's configuration as it was when it was attached.
struct Region {
  Byte* base = nullptr;
  ac_config config = {};

  Attached attach(Byte* memory, std::uint64_t size, std::uint64_t program) noexcept {
    if (size < sizeof(ac_config)) return Attached::too_small;
    std::memcpy(&config, memory, sizeof config);
    const ac_config& c = config;
    if (c.magic != AC_MAGIC) return Attached::bad_magic;
    if (c.program != program) return Attached::other_program;
    if (c.size > size) return Attached::too_small;
    constexpr std::uint64_t most_lines = 1u << 20, most_actors = 1u << AC_INDEX_BITS;
    const bool sane =
        c.blocks >= 1 && c.actors >= 1 && c.blocks < most_actors && c.actors < most_actors &&
        std::uint64_t{c.blocks} * c.actors < most_actors && c.capacity >= 16 &&
        c.capacity <= 65536 && (c.capacity & (c.capacity - 1)) == 0 && c.in_lines >= 1 &&
        c.in_lines <= most_lines && c.out_lines >= 1 && c.out_lines <= most_lines && c.stamped <= 1;
    if (!sane) return Attached::bad_config;
    const std::uint64_t blocks = c.blocks;
    const bool inside = fits(c.host_line, sizeof(ac_host_line)) &&
                        fits(c.host_blocks, blocks * sizeof(ac_host_block)) &&
                        fits(c.dev_blocks, blocks * sizeof(ac_dev_block)) &&
                        fits(c.kills, 4 * blocks * c.actors) &&
                        fits(c.h2k, blocks * c.capacity * c.in_lines * AC_LINE) &&
                        fits(c.k2h, blocks * c.capacity * c.out_lines * AC_LINE) &&
                        reinterpret_cast<std::uintptr_t>(memory) % AC_LINE == 0;
    if (!inside) return Attached::bad_config;
    base = memory;
    return Attached::ok;
  }

  ac_host_line* host() const noexcept {
    return reinterpret_cast<ac_host_line*>(base + config.host_line);
  }

 private:
  bool fits(std::uint64_t at, std::uint64_t size) const noexcept {
    return at % AC_LINE == 0 && at <= config.size && size <= config.size - at;
  }
};

// What a slot says but for its data.
struct Head {
  std::uint16_t kind = 0;
  std::uint16_t flags = 0;
  std::uint32_t dest = 0;
  std::uint32_t corr = 0;
  std::uint64_t stamp = 0;
  std::uint32_t source = 0;
  std::uint32_t deadline = 0;  // microseconds after the stamp, 0: none
  std::uint32_t size = 0;      // of the data
};

// Puts messages for one block: a single producer.
class ToBlock {
 public:
  void open(const Region& region, std::uint32_t block) noexcept {
    const ac_config& c = region.config;
    lines_ = c.in_lines;
    capacity_ = c.capacity;
    ring_ = region.base + c.h2k + std::uint64_t{block} * capacity_ * lines_ * AC_LINE;
    dev_ = reinterpret_cast<ac_dev_block*>(region.base + c.dev_blocks) + block;
    mine_ = reinterpret_cast<ac_host_block*>(region.base + c.host_blocks) + block;
  }

  // Free slots. A credit that cannot be counts as none (RG-3).
  std::uint32_t room() noexcept {
    const std::uint32_t taken = __atomic_load_n(&dev_->h2k_read, __ATOMIC_ACQUIRE);
    const std::uint32_t waiting = written_ - taken;
    limit_ = waiting <= capacity_ ? taken + capacity_ : written_;
    return limit_ - written_;
  }
  std::uint32_t waiting() noexcept { return capacity_ - room(); }
  bool has_room() noexcept {
    return static_cast<std::int32_t>(limit_ - written_) > 0 || room() != 0;
  }

  std::uint32_t lines() const noexcept { return lines_; }
  std::uint32_t capacity() const noexcept { return capacity_; }
  std::uint32_t written() const noexcept { return written_; }
  const ac_dev_block* device() const noexcept { return dev_; }

  // Only with room, and for data that fit the slot's lines. `data` is readable up to a multiple
  // of 12 bytes.
  void put(const Head& h, const Byte* data) noexcept {
    const std::uint32_t tag = written_ + 1;
    Byte* const slot = at(written_);
    const bool stamped = h.flags & AC_FLAG_STAMPED;
    const std::uint32_t chunks = 4 * lines_for(h.size, stamped);
    const std::uint32_t full = (h.size + 11) / 12;
    static constexpr Byte none[12] = {};
    for (std::uint32_t chunk = stamped ? 3 : 1, i = 0; chunk < chunks; chunk++, i++) {
      put_chunk(slot + chunk * 16, tag, i < full ? data + i * 12 : none);
    }
    Byte words[12];
    if (stamped) {
      const std::uint32_t third[3] = {h.deadline, h.size, 0};
      std::memcpy(words, third, 12);
      put_chunk(slot + 32, tag, words);
      std::memcpy(words, &h.stamp, 8);
      std::memcpy(words + 8, &h.source, 4);
      put_chunk(slot + 16, tag, words);
    }
    const std::uint32_t first[3] = {h.kind | std::uint32_t{h.flags} << 16, h.dest, h.corr};
    std::memcpy(words, first, 12);
    put_chunk(slot, tag, words);
    written_++;
    // In a burst the stores would wait for each line to leave the block's cache: ask for one early.
    // The block is not looking at it, because it has read up to here and no further.
    if (static_cast<std::int32_t>(limit_ - written_) > kAhead) own(at(written_ + kAhead));
  }

  // Whether the block sleeps and its bell has to be rung; once for all that was put.
  bool must_ring() noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return __atomic_load_n(&dev_->parked, __ATOMIC_RELAXED) != 0;
  }
  std::uint32_t* ring() noexcept {
    __atomic_fetch_add(&mine_->bell, 1u, __ATOMIC_RELEASE);
    return &mine_->bell;
  }

  // A slot that the block has not taken: its data as they were put.
  Head look(std::uint32_t number, Byte* data) const noexcept {
    Head h;
    const Byte* const slot = at(number);
    std::uint32_t first[3], more[3];
    get_chunk(slot, number + 1, reinterpret_cast<Byte*>(first));
    h.kind = static_cast<std::uint16_t>(first[0]);
    h.flags = static_cast<std::uint16_t>(first[0] >> 16);
    h.dest = first[1];
    h.corr = first[2];
    const bool stamped = h.flags & AC_FLAG_STAMPED;
    if (stamped) {
      Byte words[12];
      get_chunk(slot + 16, number + 1, words);
      std::memcpy(&h.stamp, words, 8);
      std::memcpy(&h.source, words + 8, 4);
      get_chunk(slot + 32, number + 1, reinterpret_cast<Byte*>(more));
      h.deadline = more[0];
    }
    for (std::uint32_t chunk = stamped ? 3 : 1, i = 0; chunk < 4 * lines_; chunk++, i++) {
      if (!get_chunk(slot + chunk * 16, number + 1, data + i * 12)) break;
      h.size = (i + 1) * 12;
    }
    return h;
  }

 private:
  static constexpr std::int32_t kAhead = 8;  // slots

  Byte* at(std::uint32_t number) const noexcept {
    return ring_ + std::uint64_t{number & (capacity_ - 1)} * lines_ * AC_LINE;
  }

  Byte* ring_ = nullptr;
  ac_dev_block* dev_ = nullptr;
  ac_host_block* mine_ = nullptr;
  std::uint32_t lines_ = 0, capacity_ = 0;
  std::uint32_t written_ = 0, limit_ = 0;  // the slot that there is no room for
};

// Takes what comes back from one block: a single consumer.
class FromBlock {
 public:
  void open(const Region& region, std::uint32_t block) noexcept {
    const ac_config& c = region.config;
    lines_ = c.out_lines;
    capacity_ = c.capacity;
    ring_ = region.base + c.k2h + std::uint64_t{block} * capacity_ * lines_ * AC_LINE;
    mine_ = reinterpret_cast<ac_host_block*>(region.base + c.host_blocks) + block;
  }

  // Whether a slot has begun to arrive; any thread may ask.
  bool ready() const noexcept {
    const std::uint32_t n = read_.load(std::memory_order_relaxed);
    const auto high =
        __atomic_load_n(reinterpret_cast<const std::uint64_t*>(at(n) + 8), __ATOMIC_ACQUIRE);
    return static_cast<std::uint32_t>(high >> 32) == n + 1;
  }

  // Bytes that `take` may write.
  std::uint32_t data_room() const noexcept { return lines_ * 48; }
  std::uint32_t read() const noexcept { return read_.load(std::memory_order_relaxed); }

  // Takes the next message once all its chunks are there (RG-1). `size_of(head)` says how many
  // bytes of data it has, for a slot that does not say so itself; more than a slot holds counts
  // as one line.
  template <class SizeOf>
  bool take(Head& h, Byte* data, SizeOf size_of) noexcept {
    const std::uint32_t n = read_.load(std::memory_order_relaxed), tag = n + 1;
    const Byte* const slot = at(n);
    std::uint32_t first[3], more[3];
    if (!get_chunk(slot, tag, reinterpret_cast<Byte*>(first))) return false;
    h.kind = static_cast<std::uint16_t>(first[0]);
    h.flags = static_cast<std::uint16_t>(first[0] >> 16);
    h.dest = first[1];
    h.corr = first[2];
    const bool stamped = h.flags & AC_FLAG_STAMPED;
    h.stamp = 0;
    h.source = h.deadline = 0;
    std::uint64_t size;
    if (stamped) {
      Byte words[12];
      if (!get_chunk(slot + 16, tag, words)) return false;
      std::memcpy(&h.stamp, words, 8);
      std::memcpy(&h.source, words + 8, 4);
      if (!get_chunk(slot + 32, tag, reinterpret_cast<Byte*>(more))) return false;
      h.deadline = more[0];
      size = more[1];
    } else {
      size = size_of(h);
    }
    std::uint32_t needed = lines_for(size, stamped);
    if (needed > lines_) {
      needed = 1;
      size = stamped ? AC_INLINE_STAMPED : AC_INLINE;
    }
    for (std::uint32_t chunk = stamped ? 3 : 1, i = 0; chunk < 4 * needed; chunk++, i++) {
      if (!get_chunk(slot + chunk * 16, tag, data + i * 12)) return false;
    }
    h.size = static_cast<std::uint32_t>(size);
    read_.store(n + 1, std::memory_order_relaxed);
    if (n + 1 - posted_ >= capacity_ / 16) post();
    return true;
  }

  // Gives the block credit for what was taken.
  void post() noexcept {
    const std::uint32_t n = read_.load(std::memory_order_relaxed);
    if (posted_ == n) return;
    posted_ = n;
    __atomic_store_n(&mine_->k2h_read, n, __ATOMIC_RELEASE);
  }

 private:
  const Byte* at(std::uint32_t number) const noexcept {
    return ring_ + std::uint64_t{number & (capacity_ - 1)} * lines_ * AC_LINE;
  }

  const Byte* ring_ = nullptr;
  ac_host_block* mine_ = nullptr;
  std::uint32_t lines_ = 0, capacity_ = 0, posted_ = 0;
  std::atomic<std::uint32_t> read_{0};
};

}  // namespace actinium::gpu
