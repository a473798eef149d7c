// The resident loop of a program on this machine's processor: see ../abi for the protocol.
//
// A block is run by one thread, which does all there is to do: it takes a message, runs its
// handler, puts the reply. It takes none unless all that the message can cause fits the way back,
// so it never waits in the middle of one.
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define AC_SPIN_NS 20000ull
#define AC_BEAT_NS 500000ull
#define AC_LOOK_NS 10000ull  // how often the host's line is looked at
#define AC_PARK_NS 50000000ull
#define AC_BATCH 64u
#define AC_LOOK_TICKS 16384u
#define AC_STRIDE 16u  // brief handlers between two looks at the time
#define AC_IDLE 32u  // looks in vain before the host gets all credit
#define AC_GATHER 8u  // pauses in a burst that has been caught up with
#define AC_EAGER 16u  // looks at a slot for each pause, which takes longer than all of them
#define AC_MAX_SKEW_US 60000000ull

// Ticks of a counter that is cheaper to read than the clock.
AC_FN ac_u64 ac_ticks() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  ac_u64 t;
  asm volatile("mrs %0, cntvct_el0" : "=r"(t));
  return t << 5;
#else
  return 0;
#endif
}
AC_FN ac_u64 ac_clock() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (ac_u64)t.tv_sec * 1000000000ull + (ac_u64)t.tv_nsec;
}
AC_FN void ac_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}
// Asks for a line that will be written.
AC_FN void ac_own(ac_u8* line) {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*line));
#else
  __builtin_prefetch(line, 1);
#endif
}
template <class T> AC_FN T ac_get(const T* p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
template <class T> AC_FN void ac_set(T* p, T v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
template <class T> AC_FN void ac_post(T* p, T v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }

enum { AC_FREE, AC_OPEN, AC_FAILED, AC_KILLED };
struct ac_place {
  ac_u32 status;
  ac_u32 generation;
  bool known;  // it has held an actor
  ac_u64 me;   // its gpu.Ref
};

struct ac_message {
  ac_u32 word0, dest, corr, kind, flags, size;
  bool known;  // else only its first line is taken
  ac_u64 stamp;
  ac_u32 source, deadline;
  alignas(16) ac_u8* data;
};

struct ac_block {
  ac_config config;
  ac_u8* region;
  ac_host_line* host;
  ac_host_block* mine;
  ac_dev_block* dev;
  const ac_u32* kills;
  const ac_u8* inits;
  ac_u8 *h2k, *k2h, *states;
  ac_u32 first;  // index of place 0
  ac_u32 mask, need;
  ac_u32 read, posted, written, room;
  ac_u32 kill_epoch, seq;
  ac_u64 handled, bounced, faults, commands;
  ac_u64 now, ticks, looked, beat, heartbeat, alive, active, wall_us, wall_at, wall, stamp;
  ac_u32 state, idle;
  bool outgoing, behind;
  ac_place* places;
  ac_message in;
  ac_u8 *reply, *said;
  ac_ctx ctx;
};

// A chunk is 12 bytes of data and its tag, which is read first and written last.
AC_FN bool ac_chunk_get(const ac_u8* chunk, ac_u32 tag, ac_u8* to) {
  ac_u64 high = ac_get((const ac_u64*)(chunk + 8));
  if ((ac_u32)(high >> 32) != tag) return false;
  ac_u64 low = __atomic_load_n((const ac_u64*)chunk, __ATOMIC_RELAXED);
  ac_u32 third = (ac_u32)high;
  memcpy(to, &low, 8);
  memcpy(to + 8, &third, 4);
  return true;
}
AC_FN void ac_chunk_put(ac_u8* chunk, ac_u32 tag, const ac_u8* from) {
  ac_u64 low;
  ac_u32 third;
  memcpy(&low, from, 8);
  memcpy(&third, from + 8, 4);
  ac_post((ac_u64*)chunk, low);
  ac_set((ac_u64*)(chunk + 8), (ac_u64)tag << 32 | third);
}
AC_FN ac_u32 ac_lines(ac_u32 size, bool stamped) {
  ac_u32 held = stamped ? AC_INLINE_STAMPED : AC_INLINE;
  return size <= held ? 1 : 1 + (size - held + AC_MORE - 1) / AC_MORE;
}

// The data after a slot's head: the rest of the first line, then whole lines.
AC_FN bool ac_data_get(const ac_u8* slot, ac_u32 tag, ac_u32 chunk, ac_u32 size, ac_u8* to) {
  ac_u32 end = ((size + 11) / 12 + chunk + 3) & ~3u;  // all chunks of a line carry the tag
  if (end < 4) end = 4;
  ac_u8 spare[12];
  for (ac_u32 at = 0; chunk < end; chunk++, at += 12)
    if (!ac_chunk_get(slot + chunk * 16, tag, at < size ? to + at : spare)) return false;
  return true;
}

// Puts a message on the way back; `need` slots are free before any message is taken.
static void ac_out(ac_block* b, ac_u32 word0, ac_u32 dest, ac_u32 corr, ac_u64 stamp, ac_u32 source,
                   ac_u32 deadline, const ac_u8* data, ac_u32 size) {
  const ac_u32 tag = b->written + 1;
  ac_u8* slot = b->k2h + (ac_u64)(b->written & b->mask) * b->config.out_lines * AC_LINE;
  const bool stamped = (word0 >> 16) & AC_FLAG_STAMPED;
  const ac_u32 chunks = 4 * ac_lines(size, stamped);
  ac_u32 from = stamped ? 3 : 1;
  for (ac_u32 chunk = from, at = 0; chunk < chunks; chunk++, at += 12) {
    ac_u8 piece[12] = {};
    if (at + 12 <= size) memcpy(piece, data + at, 12);
    else if (at + 8 == size) memcpy(piece, data + at, 8);  // most replies: no call for them
    else if (at < size) memcpy(piece, data + at, size - at);
    ac_chunk_put(slot + chunk * 16, tag, piece);
  }
  if (stamped) {
    ac_u32 second[3] = {(ac_u32)stamp, (ac_u32)(stamp >> 32), source}, third[3] = {deadline, size, 0};
    ac_chunk_put(slot + 32, tag, (const ac_u8*)third);
    ac_chunk_put(slot + 16, tag, (const ac_u8*)second);
  }
  ac_u32 head[3] = {word0, dest, corr};
  ac_chunk_put(slot, tag, (const ac_u8*)head);
  b->written++;
  b->room--;
  b->outgoing = true;
}

// The block's hybrid clock: 52 bits of microseconds, 12 of a counter that carries into them.
AC_FN ac_u64 ac_tick(ac_block* b) {
  ac_u64 wall = b->wall << 12;
  b->stamp = wall > b->stamp ? wall : b->stamp + 1;
  return b->stamp;
}
AC_FN void ac_merge(ac_block* b, ac_u64 remote) {
  if ((remote >> 12) > b->wall + AC_MAX_SKEW_US) return;  // HC-3
  ac_tick(b);
  if (remote >= b->stamp) b->stamp = remote + 1;
}

AC_FN void ac_say(ac_block* b, ac_u32 flags, ac_u32 kind, ac_u32 dest, ac_u32 corr,
                  const void* data, ac_u32 size) {
  if (b->config.stamped)
    ac_out(b, kind | (flags | AC_FLAG_STAMPED) << 16, dest, corr, ac_tick(b), dest, 0,
           (const ac_u8*)data, size);
  else
    ac_out(b, kind | flags << 16, dest, corr, 0, 0, 0, (const ac_u8*)data, size);
}
static void ac_bounce(ac_block* b, ac_u32 reason) {
  const ac_message& m = b->in;
  b->bounced++;
  ac_out(b, m.word0 | (AC_FLAG_BOUNCED | reason << AC_REASON_SHIFT) << 16, m.dest, m.corr, m.stamp,
         m.source, m.deadline, m.data, m.size);
}

AC_FN void ac_counters(ac_block* b) {
  ac_dev_block* d = b->dev;
  ac_post(&d->seq, b->seq + 1);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  ac_post(&d->handled, b->handled);
  ac_post(&d->bounced, b->bounced);
  ac_post(&d->faults, b->faults);
  ac_post(&d->commands, b->commands);
  ac_post(&d->k2h_written, b->written);
  b->seq += 2;
  ac_set(&d->seq, b->seq);
}
AC_FN void ac_credit(ac_block* b) {
  if (b->posted == b->read) return;
  b->posted = b->read;
  ac_set(&b->dev->h2k_read, b->read);
}

// A futex word of the region, which another process may hold too.
static void ac_futex(ac_u32* word, int what, ac_u32 value, ac_u64 ns) {
  timespec t = {(time_t)(ns / 1000000000ull), (long)(ns % 1000000000ull)};
  syscall(SYS_futex, word, what, value, what == FUTEX_WAIT ? &t : 0, 0, 0);
}

AC_FN void ac_wake_host(ac_block* b) {
  if (!b->outgoing) return;
  b->outgoing = false;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (!__atomic_load_n(&b->host->parked, __ATOMIC_RELAXED)) return;
  ac_post(&b->dev->bell, b->dev->bell + 1);
  ac_futex(&b->dev->bell, FUTEX_WAKE, 0x7fffffff, 0);
}

static void ac_end(ac_block* b, ac_u32 state) {
  ac_post(&b->dev->running_kind, 0u);
  ac_credit(b);
  ac_counters(b);
  b->state = state;
  ac_set(&b->dev->state, state);
  b->outgoing = true;
  ac_wake_host(b);
}

static bool ac_look(ac_block* b);

// Whether so many slots of the way back are free; if not it waits, unless the block ends.
static bool ac_room(ac_block* b, ac_u32 n) {
  for (;;) {
    if (b->room < n) b->room = b->config.capacity - (b->written - ac_get(&b->mine->k2h_read));
    if (b->room >= n) return true;
    ac_wake_host(b);
    timespec nap = {0, 20000};
    nanosleep(&nap, 0);
    if (!ac_look(b)) return false;
  }
}

// What a handler told others goes to the host, which knows where they are.
static bool ac_send_told(ac_block* b) {
  for (ac_u32 at = 0; at < b->ctx.told;) {
    const ac_told* entry = (const ac_told*)(b->ctx.outbox + at);
    if (!ac_room(b, b->need + 1)) return false;
    memcpy(b->said, &b->in.dest, 4);
    memcpy(b->said + 4, entry + 1, entry->size);
    ac_say(b, AC_FLAG_TOLD, entry->kind, (ac_u32)entry->to, (ac_u32)(entry->to >> 32), b->said,
           4 + entry->size);
    at += (ac_u32)sizeof(ac_told) + ((entry->size + 7u) & ~7u);
  }
  return true;
}

// Reads the clock, beats, and looks at the host's line. False: the block has ended.
static bool ac_look(ac_block* b) {
  b->ticks = ac_ticks();
  b->now = ac_clock();
  b->wall = b->wall_us + (b->now - b->wall_at) / 1000;
  if (b->now - b->beat >= AC_BEAT_NS) {
    b->beat = b->now;
    ac_post(&b->dev->heartbeat, b->now);
    ac_counters(b);
  }
  if (b->now - b->looked < AC_LOOK_NS) return true;
  b->looked = b->now;
  ac_u64 beat = ac_get(&b->host->heartbeat);
  if (beat != b->heartbeat || b->config.orphan_ns == 0) {
    ac_u64 wall = ac_get(&b->host->wall_us);
    if (wall != b->wall_us) {
      b->wall_us = b->wall = wall;
      b->wall_at = b->now;
    }
    b->heartbeat = beat;
    b->alive = b->now;
  } else if (b->now - b->alive > b->config.orphan_ns) {
    ac_end(b, AC_STATE_ORPHANED);
    return false;
  }
  if (ac_get(&b->host->stop) == AC_STOP_NOW) {
    ac_end(b, AC_STATE_ENDED);
    return false;
  }
  return true;
}

static void ac_take_kills(ac_block* b) {
  for (ac_u32 i = 0; i < b->config.actors; i++) {
    ac_place& p = b->places[i];
    if ((p.status == AC_OPEN || p.status == AC_FAILED) && ac_get(&b->kills[b->first + i]) == p.generation + 1)
      p.status = AC_KILLED;
  }
}

// 1: taken, 0: there is none yet.
static int ac_take(ac_block* b) {
  const ac_u32 tag = b->read + 1;
  const ac_u8* slot = b->h2k + (ac_u64)(b->read & b->mask) * b->config.in_lines * AC_LINE;
  ac_message& m = b->in;
  ac_u32 head[3];
  if (!ac_chunk_get(slot, tag, (ac_u8*)head)) return 0;
  m.word0 = head[0];
  m.dest = head[1];
  m.corr = head[2];
  m.kind = head[0] & 0xffffu;
  m.flags = head[0] >> 16;
  m.stamp = 0;
  m.source = m.deadline = 0;
  const bool stamped = m.flags & AC_FLAG_STAMPED;
  m.size = 0;
  m.known = true;
  if (m.kind >= AC_USER) {
    const ac_u32 size = ac_message_size(m.kind) + (m.flags & AC_FLAG_SENDER ? 8 : 0);
    m.known = size < 1u << 31 && ac_lines(size, stamped) <= b->config.in_lines;
    m.size = m.known ? size : stamped ? AC_INLINE_STAMPED : AC_INLINE;
  } else if (m.flags & AC_FLAG_SENDER) {
    m.size = 8;
  }
  if (stamped) {
    ac_u32 second[3], third[3];
    if (!ac_chunk_get(slot + 16, tag, (ac_u8*)second) || !ac_chunk_get(slot + 32, tag, (ac_u8*)third)) return 0;
    m.stamp = second[0] | (ac_u64)second[1] << 32;
    m.source = second[2];
    m.deadline = third[0];
  }
  return ac_data_get(slot, tag, stamped ? 3 : 1, m.size, m.data);
}

AC_FN void ac_answer(ac_block* b, ac_u32 status) {
  ac_u32 data[2] = {status, 0};
  ac_say(b, AC_FLAG_REPLY, b->in.kind, b->in.dest, b->in.corr, data, sizeof data);
}

// The gpu.Ref before the message, or 0.
AC_FN ac_u64 ac_ref(const ac_message& m) {
  ac_u64 ref = 0;
  if (m.flags & AC_FLAG_SENDER) memcpy(&ref, m.data, 8);
  return ref;
}

static ac_u32 ac_open(ac_block* b, ac_u32 place, ac_u32 generation) {
  ac_place& p = b->places[place];
  memcpy(b->states + (ac_u64)place * b->config.state_stride,
         b->inits + (ac_u64)place * b->config.state_stride, b->config.state_size);
  p.status = AC_OPEN;
  p.generation = generation;
  p.known = true;
  p.me = ac_ref(b->in);
  return AC_STATUS_OK;
}

static void ac_command(ac_block* b) {
  const ac_message& m = b->in;
  b->commands++;
  ac_u32 place = (m.dest & ((1u << AC_INDEX_BITS) - 1)) - b->first, generation = m.dest >> AC_INDEX_BITS;
  const bool here = place < b->config.actors;
  ac_place none = {}, &p = here ? b->places[place] : none;
  const bool same = p.known && p.generation == generation;
  ac_u32 status = AC_STATUS_BAD_STATE;
  switch (m.kind) {
    case AC_COMMAND_PING: {
      ac_u32 data[4] = {AC_STATUS_OK, 0};
      memcpy(data + 2, &b->now, 8);
      ac_say(b, AC_FLAG_REPLY, m.kind, m.dest, m.corr, data, sizeof data);
      return;
    }
    case AC_COMMAND_STATS: {
      ac_u64 data[4] = {AC_STATUS_OK, b->handled, b->bounced, b->faults};
      ac_say(b, AC_FLAG_REPLY, m.kind, m.dest, m.corr, data, sizeof data);
      return;
    }
    case AC_COMMAND_POISON:
      ac_answer(b, AC_STATUS_OK);
      ac_end(b, AC_STATE_ENDED);
      return;
    case AC_COMMAND_RESUME:
      if (!here) status = AC_STATUS_BAD_ARG;
      else if (same && (p.status == AC_OPEN || p.status == AC_FAILED)) {
        p.status = AC_OPEN;
        status = AC_STATUS_OK;
      }
      break;
    case AC_COMMAND_RESET:
      if (!here) status = AC_STATUS_BAD_ARG;
      else if (p.status == AC_OPEN && same) status = AC_STATUS_OK;
      else if (p.status != AC_FREE && !same) status = ac_open(b, place, generation);
      break;
    case AC_COMMAND_SPAWN:
      if (!here) status = AC_STATUS_BAD_ARG;
      else if (p.status == AC_OPEN && same) status = AC_STATUS_OK;
      else if (p.status == AC_FREE && !same) status = ac_open(b, place, generation);
      break;
    case AC_COMMAND_STOP:
      if (!here) status = AC_STATUS_BAD_ARG;
      else if (same) {
        p.status = AC_FREE;
        status = AC_STATUS_OK;
      }
      break;
    default: status = AC_STATUS_UNSUPPORTED;
  }
  ac_answer(b, status);
}

static void ac_handle_one(ac_block* b) {
  const ac_message& m = b->in;
  if (m.flags & AC_FLAG_STAMPED) ac_merge(b, m.stamp);
  if (m.kind < AC_USER) {
    ac_command(b);
    return;
  }
  ac_u32 place = (m.dest & ((1u << AC_INDEX_BITS) - 1)) - b->first;
  if (place >= b->config.actors || b->places[place].status == AC_FREE) return ac_bounce(b, AC_REASON_NO_ACTOR);
  ac_place& p = b->places[place];
  if (p.generation != m.dest >> AC_INDEX_BITS) return ac_bounce(b, AC_REASON_STALE);
  if (p.status == AC_KILLED) return ac_bounce(b, AC_REASON_STOPPED);
  if (p.status == AC_FAILED) return ac_bounce(b, AC_REASON_SUSPENDED);
  if (m.deadline && b->wall > (m.stamp >> 12) + m.deadline) return ac_bounce(b, AC_REASON_EXPIRED);
  if (!m.known) return ac_bounce(b, AC_REASON_UNKNOWN_KIND);

  ac_dev_block* d = b->dev;
  ac_post(&d->running, m.dest);
  ac_post(&d->since, b->now);
  ac_set(&d->running_kind, m.kind);
  b->ctx.fault = b->ctx.told = 0;
  b->ctx.now = b->wall;
  b->ctx.me = p.me;
  b->ctx.sender = ac_ref(m);
  ac_handle(&b->ctx, b->states + (ac_u64)place * b->config.state_stride, m.kind,
            m.data + (m.flags & AC_FLAG_SENDER ? 8 : 0), b->reply);
  ac_post(&d->running_kind, 0u);
  if (b->ctx.told && !ac_send_told(b)) return;
  if (b->ctx.fault) {
    p.status = AC_FAILED;
    b->faults++;
    ac_u32 data[3] = {AC_STATUS_FAULT, b->ctx.fault, 0};
    ac_say(b, AC_FLAG_REPLY | AC_FLAG_ERROR, m.kind, m.dest, m.corr, data, sizeof data);
    return ac_bounce(b, AC_REASON_FAILED);
  }
  b->handled++;
  if (m.corr) ac_say(b, AC_FLAG_REPLY, m.kind, m.dest, m.corr, b->reply, ac_reply_size(m.kind));
}

// Handles what there is, up to a batch; says how many.
static ac_u32 ac_serve(ac_block* b) {
  if (b->ticks == 0 && !ac_look(b)) return 0;
  if (b->room < b->need) b->room = b->config.capacity - (b->written - ac_get(&b->mine->k2h_read));
  ac_u32 n = 0;
  for (; n < AC_BATCH && b->room >= b->need; n++) {
    if (!ac_take(b)) break;
    if (n == 0) {
      const ac_u32 epoch = ac_get(&b->mine->kill_epoch);
      if (epoch != b->kill_epoch) {
        b->kill_epoch = epoch;
        ac_take_kills(b);
      }
    }
    b->read++;
    if (b->behind) {  // the next ones have been written: fetch one from the other core's cache
      const ac_u32 ahead = (b->read + 6) & b->mask;
      __builtin_prefetch(b->h2k + (ac_u64)ahead * b->config.in_lines * AC_LINE);
    }
    ac_handle_one(b);
    if (b->state != AC_STATE_RUNNING) return n + 1;
    if (b->read - b->posted >= b->config.capacity / 16) ac_credit(b);
    // Reading the counter costs as much as a small handler, so not after each of those.
    const bool due = !ac_brief(b->in.kind) || n % AC_STRIDE == AC_STRIDE - 1;
    if (due && ac_ticks() - b->ticks > AC_LOOK_TICKS && !ac_look(b)) return n + 1;
  }
  ac_wake_host(b);
  // Not before the messages: a reply would wait for the counter.
  if (ac_ticks() - b->ticks > AC_LOOK_TICKS && !ac_look(b)) return n;
  b->behind = n == AC_BATCH;
  if (n) {
    b->active = b->now;
    b->idle = 0;
    ac_own(b->k2h + (ac_u64)(b->written & b->mask) * b->config.out_lines * AC_LINE);
    // In a burst that has been caught up with, looking at the slot that the host writes takes its
    // line away for each message: let some come together.
    if (n > 1 && n < AC_BATCH)
      for (ac_u32 i = 0; i < AC_GATHER; i++) ac_pause();
  } else if (++b->idle == AC_IDLE) {
    ac_credit(b);
  }
  return n;
}

static bool ac_ready(const ac_block* b) {
  const ac_u8* slot = b->h2k + (ac_u64)(b->read & b->mask) * b->config.in_lines * AC_LINE;
  return (ac_u32)(ac_get((const ac_u64*)(slot + 8)) >> 32) == b->read + 1;
}

// A moment's wait for the next message: a look in the own cache costs a tenth of a pause.
static void ac_wait(const ac_block* b) {
  for (ac_u32 i = 0; i < AC_EAGER; i++)
    if (ac_ready(b)) return;
  ac_pause();
}

// Sleeps until the host rings, or long enough to beat and to look at the lease.
static void ac_park(ac_block* b) {
  ac_u32 bell = ac_get(&b->mine->bell);
  ac_post(&b->dev->heartbeat, b->now);
  ac_counters(b);
  ac_post(&b->dev->parked, 1u);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  ac_credit(b);
  const bool waits_for_room = b->room < b->need;
  if (waits_for_room) {
    timespec nap = {0, 20000};
    nanosleep(&nap, 0);
  } else if (!ac_ready(b) && ac_get(&b->host->stop) == AC_STOP_RUN) {
    ac_u64 ns = AC_PARK_NS;
    if (b->config.orphan_ns && b->config.orphan_ns / 4 < ns) ns = b->config.orphan_ns / 4 + 1;
    ac_futex(&b->mine->bell, FUTEX_WAIT, bell, ns);
  }
  ac_post(&b->dev->parked, 0u);
  b->looked = 0;
  ac_look(b);
}

static bool ac_begin(ac_block* b, ac_u8* region, ac_u8* states, ac_u32 number) {
  memset(b, 0, sizeof *b);
  b->config = *(const ac_config*)region;
  const ac_config& c = b->config;
  b->region = region;
  b->host = (ac_host_line*)(region + c.host_line);
  b->mine = (ac_host_block*)(region + c.host_blocks) + number;
  b->dev = (ac_dev_block*)(region + c.dev_blocks) + number;
  b->kills = (const ac_u32*)(region + c.kills);
  b->first = number * c.actors;
  b->inits = region + c.inits + (ac_u64)b->first * c.state_stride;
  b->states = states + (ac_u64)b->first * c.state_stride;
  b->h2k = region + c.h2k + (ac_u64)number * c.in_lines * AC_LINE * c.capacity;
  b->k2h = region + c.k2h + (ac_u64)number * c.out_lines * AC_LINE * c.capacity;
  b->mask = c.capacity - 1;
  b->need = 2;
  ac_clear(&b->ctx, c.budget);
  b->ctx.outbox = (ac_u8*)aligned_alloc(64, AC_OUTBOX + 64);
  b->ctx.room = AC_OUTBOX;
  b->said = (ac_u8*)calloc(1, (ac_u64)c.out_lines * AC_LINE + AC_OUTBOX);
  b->room = c.capacity;
  b->places = (ac_place*)calloc(c.actors, sizeof(ac_place));
  b->in.data = (ac_u8*)aligned_alloc(64, (ac_u64)c.in_lines * AC_LINE + 64);
  b->reply = (ac_u8*)aligned_alloc(64, (ac_u64)c.out_lines * AC_LINE + 64);
  if (!b->places || !b->in.data || !b->reply || !b->said || !b->ctx.outbox) return false;
  memset(b->reply, 0, (ac_u64)c.out_lines * AC_LINE + 64);
  b->now = b->alive = b->active = b->wall_at = ac_clock();
  b->heartbeat = ac_get(&b->host->heartbeat);
  b->wall_us = b->wall = ac_get(&b->host->wall_us);
  b->state = AC_STATE_RUNNING;
  ac_post(&b->dev->heartbeat, b->now);
  ac_set(&b->dev->state, (ac_u32)AC_STATE_RUNNING);
  return true;
}

// Runs blocks first, first + step, ... until they end. 0: they have; 1: no memory to begin.
extern "C" int ac_run(ac_u8* region, ac_u8* states, ac_u32 first, ac_u32 step) {
  const ac_u32 blocks = ((const ac_config*)region)->blocks;
  const ac_u32 n = first < blocks ? (blocks - first - 1) / step + 1 : 0;
  ac_block* all = (ac_block*)aligned_alloc(64, (n + 1) * ((sizeof(ac_block) + 63) / 64 * 64));
  if (!all) return 1;
  int failed = 0;
  ac_u32 live = 0;
  for (; live < n && !failed; live++) failed = !ac_begin(&all[live], region, states, first + live * step);
  for (ac_u32 left = failed ? 0 : n; left;) {
    ac_u32 done = 0;
    left = 0;
    bool idle = true;
    for (ac_u32 i = 0; i < n; i++) {
      ac_block* b = &all[i];
      if (b->state != AC_STATE_RUNNING) continue;
      done += ac_serve(b);
      left += b->state == AC_STATE_RUNNING;
      idle = idle && b->now - b->active > AC_SPIN_NS;
    }
    if (done) continue;
    if (!idle) {
      if (n == 1) ac_wait(&all[0]);
      else ac_pause();
    } else if (n == 1) {
      if (left) ac_park(&all[0]);
    } else {
      timespec nap = {0, 50000};
      nanosleep(&nap, 0);
    }
  }
  for (ac_u32 i = 0; i < live; i++) {
    free(all[i].places);
    free(all[i].in.data);
    free(all[i].reply);
    free(all[i].said);
    free(all[i].ctx.outbox);
  }
  free(all);
  return failed;
}

// Threads that run all blocks, block i on thread i modulo their number.
struct ac_task {
  ac_u8 *region, *states;
  ac_u32 first, step;
  int failed;
  pthread_t thread;
};
static void* ac_task_run(void* p) {
  ac_task* t = (ac_task*)p;
  t->failed = ac_run(t->region, t->states, t->first, t->step);
  return 0;
}

// Starts them; how many there are (fewer: the machine gave no more, end those with HostLine.stop).
extern "C" ac_u32 ac_start(ac_task* tasks, ac_u8* region, ac_u8* states, ac_u32 threads) {
  sigset_t all, before;  // signals are for the threads of the host
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  ac_u32 i = 0;
  for (; i < threads; i++) {
    tasks[i] = {region, states, i, threads, 0, {}};
    if (pthread_create(&tasks[i].thread, 0, ac_task_run, &tasks[i])) break;
  }
  pthread_sigmask(SIG_SETMASK, &before, 0);
  return i;
}
extern "C" ac_u32 ac_task_size() { return sizeof(ac_task); }

// Waits for a thread's end: whether it has.
extern "C" int ac_join(ac_task* task, ac_u64 ns) {
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  ns += (ac_u64)t.tv_nsec;
  t.tv_sec += (time_t)(ns / 1000000000ull);
  t.tv_nsec = (long)(ns % 1000000000ull);
  return pthread_timedjoin_np(task->thread, 0, &t) == 0;
}
