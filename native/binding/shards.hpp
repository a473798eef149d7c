// What the cores of one system share, where there is no GIL: see shards.cpp and moving.cpp.
#pragma once

#include "runtime.hpp"

#ifdef Py_GIL_DISABLED

#include "actinium/victim.hpp"

namespace binding {

// Which thread runs which core, and who has nothing to do. A place is taken and left by its own
// thread; a thread that finds itself here may use the core, as nobody else ends it.
struct ShardTable {
  struct alignas(64) Place {
    std::atomic<std::uintptr_t> thread{0};
    Core* core = nullptr;
    Cell* user = nullptr;                 // the parent of its actors that may move
    std::atomic<std::uint32_t> load{0};   // what is ready there: a hint, of this order of magnitude
    std::atomic<std::uint64_t> asked{0};  // the shards that asked this one for work, as bits
  };
  static constexpr std::size_t kMost = 64;
  std::atomic<std::uint32_t> users{0};
  std::atomic<std::uint64_t> moves{0};
  alignas(64) std::atomic<std::uint64_t> hungry{0};  // the shards that take work from anybody
  std::size_t count = 0;
  Place places[kMost];
};

// A core's own part in it.
struct Sharing {
  Sharing(std::size_t number, std::size_t count)
      : place(number), chooser(number, std::vector<std::uint16_t>(count, 0), 1), asked(number) {}

  std::size_t place;
  std::int64_t worth_ns = 0;  // of work that waits for an actor before it is given away
  std::int64_t pace_ns = 0;   // that one message takes, about
  std::int64_t looks[2] = {};
  std::int32_t paced = 1;   // messages until the clock is read
  std::uint32_t shown = 0;  // the load that the others see
  bool asking = false;      // its bit is set somewhere
  bool closed = false;      // takes no more actors; under the core's gate
  // Who has asked: gets so many more actors in this slice.
  Core* to = nullptr;
  std::uint32_t left = 0;
  actinium::VictimChooser chooser;
  std::size_t asked;  // whom it asked last, or itself
  std::uint64_t taken = 0;
};

void forget_table(ShardTable* table);

// Puts an entry into the inbox of a core whose gate is held: as many as its loop is to be told of.
struct Wake {
  PyObject* call = nullptr;
  PyObject* on_inbox = nullptr;
};
void push_inbound(Core* c, Cell* cell, Item& it, unsigned lane, void* memory, Inward what,
                  Wake* wake);
void wake_loop(Core* c, Wake& wake);

}  // namespace binding

#endif
