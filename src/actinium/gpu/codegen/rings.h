// Rings of tagged slots, as abi/words.py says. One text for g++, NVRTC and the emulator; a port
// (port_cpu.h, port_cuda.h, port_emulator.h) says what a load and a store are there.
//
// Slot number n lies at n & (capacity - 1), and each chunk of each line that it uses carries the
// tag n + 1. Chunks may become visible in any order: a slot is there when all of them are. There
// is no head and no tail: the consumer posts how many slots it has taken (credit), now and then.

struct alignas(16) ac_chunk {
  ac_u32 w[3];
  ac_u32 tag;
};
struct alignas(64) ac_line {
  ac_chunk c[4];
};

// A slot but for its data.
struct ac_head {
  ac_u32 word0;  // kind | flags << 16
  ac_u32 dest;
  ac_u32 corr;
  ac_u32 source;  // the last four with AC_FLAG_STAMPED alone
  ac_u64 clock;
  ac_u32 deadline;
  ac_u32 size;
};

#include "port.h"

AC_FN bool ac_is_stamped(ac_u32 word0) { return (word0 >> 16 & AC_FLAG_STAMPED) != 0; }

// Lines that a slot uses for so many bytes of data.
AC_FN ac_u32 ac_lines_for(ac_u32 size, bool stamped) {
  const ac_u32 first = stamped ? AC_INLINE_STAMPED : AC_INLINE;
  return size <= first ? 1 : 1 + (size - first + AC_MORE - 1) / AC_MORE;
}

// Which word of the data a chunk starts with; below 0 it holds none.
AC_FN ac_i32 ac_word_at(ac_u32 line, ac_u32 chunk, bool stamped) {
  return (ac_i32)(line * 12 + chunk * 3) - (stamped ? 9 : 3);
}

// One chunk of a slot. word(k): the k-th four bytes of the data, 0 beyond the end.
template <class Words>
AC_FN ac_chunk ac_chunk_of(const ac_head& head, ac_u32 line, ac_u32 chunk, ac_u32 tag, Words word) {
  const bool stamped = ac_is_stamped(head.word0);
  const ac_i32 at = ac_word_at(line, chunk, stamped);
  ac_chunk c;
  c.tag = tag;
  if (at >= 0) {
    for (int i = 0; i < 3; i++) c.w[i] = word((ac_u32)at + i);
  } else if (chunk == 0) {
    c.w[0] = head.word0;
    c.w[1] = head.dest;
    c.w[2] = head.corr;
  } else if (chunk == 1) {
    c.w[0] = (ac_u32)head.clock;
    c.w[1] = (ac_u32)(head.clock >> 32);
    c.w[2] = head.source;
  } else {
    c.w[0] = head.deadline;
    c.w[1] = head.size;
    c.w[2] = 0;
  }
  return c;
}

// Writes slot number n, by one thread. The caller has the credit for it.
template <class Words>
AC_FN void ac_put(ac_line* slot, ac_u32 n, const ac_head& head, Words word) {
  for (ac_u32 line = ac_lines_for(head.size, ac_is_stamped(head.word0)); line-- > 0;)
    for (ac_u32 chunk = 4; chunk-- > 0;)
      ac_st16(&slot[line].c[chunk], ac_chunk_of(head, line, chunk, n + 1, word));
}

// Takes slot number n, by one thread; false while a chunk of it is missing. size(word0): the
// bytes of data of such a message without a clock, clipped to the slot, as is the size in a
// stamped one (head.size keeps what was sent). take(k, w): the k-th four bytes of the data; only
// if the answer is true they are all there and of one slot.
template <class Size, class Take>
AC_FN bool ac_take(const ac_line* slot, ac_u32 n, ac_u32 most, ac_head* head, Size size, Take take) {
  const ac_u32 tag = n + 1;
  ac_chunk c[4];
  for (int i = 0; i < 4; i++) {
    c[i] = ac_ld16(&slot->c[i]);
    if (c[i].tag != tag) return false;
  }
  head->word0 = c[0].w[0];
  head->dest = c[0].w[1];
  head->corr = c[0].w[2];
  const bool stamped = ac_is_stamped(head->word0);
  if (stamped) {
    head->clock = c[1].w[0] | (ac_u64)c[1].w[1] << 32;
    head->source = c[1].w[2];
    head->deadline = c[2].w[0];
    head->size = c[2].w[1];
  } else {
    head->clock = 0;
    head->source = head->deadline = 0;
    head->size = size(head->word0);
  }
  for (ac_u32 chunk = stamped ? 3 : 1, k = 0; chunk < 4; chunk++)
    for (int i = 0; i < 3; i++) take(k++, c[chunk].w[i]);
  const ac_u32 wanted = head->size <= most * 48 ? ac_lines_for(head->size, stamped) : most;
  const ac_u32 lines = wanted < most ? wanted : most;
  for (ac_u32 line = 1; line < lines; line++)
    for (ac_u32 chunk = 0; chunk < 4; chunk++) {
      const ac_chunk more = ac_ld16(&slot[line].c[chunk]);
      if (more.tag != tag) return false;
      for (int i = 0; i < 3; i++) take((ac_u32)ac_word_at(line, chunk, stamped) + i, more.w[i]);
    }
  return true;
}

// Several producers of one side, one consumer: slot numbers are given out only against credit, so
// that a full ring costs none and an unread slot is never written.
struct ac_tickets {
  ac_u32 next;   // the number that is given out next
  ac_u32 limit;  // up to which the last credit that was read reaches; it may lag behind
};

// Up to `wanted` numbers from *first on; 0 if the ring is full. read: the consumer's credit.
AC_FN ac_u32 ac_claim(ac_tickets* t, const ac_u32* read, ac_u32 capacity, ac_u32 wanted, ac_u32* first) {
  for (;;) {
    const ac_u32 next = ac_near_ld(&t->next);
    ac_i32 room = (ac_i32)(ac_near_ld(&t->limit) - next);
    if (room < (ac_i32)wanted) {
      const ac_u32 limit = ac_ld32(read) + capacity;
      ac_near_st(&t->limit, limit);
      room = (ac_i32)(limit - next);
      if (room <= 0) return 0;
    }
    const ac_u32 n = (ac_u32)room < wanted ? (ac_u32)room : wanted;
    if (ac_near_cas(&t->next, next, next + n) == next) {
      *first = next;
      return n;
    }
  }
}
