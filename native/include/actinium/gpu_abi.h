// Written by native_header() of src/actinium/gpu/abi/text.py: change what it reads.
// clang-format off
#pragma once
typedef unsigned char ac_u8;
typedef unsigned int ac_u32;
typedef unsigned long long ac_u64;
#define AC_OFFSET(type, field) __builtin_offsetof(type, field)
struct ac_config {
  ac_u64 magic;
  ac_u64 program;
  ac_u32 blocks;
  ac_u32 capacity;
  ac_u32 in_lines;
  ac_u32 out_lines;
  ac_u32 actors;
  ac_u32 units;
  ac_u32 state_size;
  ac_u32 state_stride;
  ac_u32 stamped;
  ac_u32 spare;
  ac_u64 orphan_ns;
  ac_u64 budget;
  ac_u64 host_line;
  ac_u64 host_blocks;
  ac_u64 dev_blocks;
  ac_u64 kills;
  ac_u64 inits;
  ac_u64 h2k;
  ac_u64 k2h;
  ac_u64 size;
  ac_u8 rest[120];
};
static_assert(AC_OFFSET(ac_config, magic) == 0, "ac_config.magic is not at 0");
static_assert(AC_OFFSET(ac_config, program) == 8, "ac_config.program is not at 8");
static_assert(AC_OFFSET(ac_config, blocks) == 16, "ac_config.blocks is not at 16");
static_assert(AC_OFFSET(ac_config, capacity) == 20, "ac_config.capacity is not at 20");
static_assert(AC_OFFSET(ac_config, in_lines) == 24, "ac_config.in_lines is not at 24");
static_assert(AC_OFFSET(ac_config, out_lines) == 28, "ac_config.out_lines is not at 28");
static_assert(AC_OFFSET(ac_config, actors) == 32, "ac_config.actors is not at 32");
static_assert(AC_OFFSET(ac_config, units) == 36, "ac_config.units is not at 36");
static_assert(AC_OFFSET(ac_config, state_size) == 40, "ac_config.state_size is not at 40");
static_assert(AC_OFFSET(ac_config, state_stride) == 44, "ac_config.state_stride is not at 44");
static_assert(AC_OFFSET(ac_config, stamped) == 48, "ac_config.stamped is not at 48");
static_assert(AC_OFFSET(ac_config, spare) == 52, "ac_config.spare is not at 52");
static_assert(AC_OFFSET(ac_config, orphan_ns) == 56, "ac_config.orphan_ns is not at 56");
static_assert(AC_OFFSET(ac_config, budget) == 64, "ac_config.budget is not at 64");
static_assert(AC_OFFSET(ac_config, host_line) == 72, "ac_config.host_line is not at 72");
static_assert(AC_OFFSET(ac_config, host_blocks) == 80, "ac_config.host_blocks is not at 80");
static_assert(AC_OFFSET(ac_config, dev_blocks) == 88, "ac_config.dev_blocks is not at 88");
static_assert(AC_OFFSET(ac_config, kills) == 96, "ac_config.kills is not at 96");
static_assert(AC_OFFSET(ac_config, inits) == 104, "ac_config.inits is not at 104");
static_assert(AC_OFFSET(ac_config, h2k) == 112, "ac_config.h2k is not at 112");
static_assert(AC_OFFSET(ac_config, k2h) == 120, "ac_config.k2h is not at 120");
static_assert(AC_OFFSET(ac_config, size) == 128, "ac_config.size is not at 128");
static_assert(AC_OFFSET(ac_config, rest) == 136, "ac_config.rest is not at 136");
static_assert(sizeof(ac_config) == 256, "ac_config is not 256 bytes");
static_assert(alignof(ac_config) == 8, "ac_config is not aligned to 8");

struct ac_host_line {
  ac_u64 heartbeat;
  ac_u64 wall_us;
  ac_u32 stop;
  ac_u32 parked;
  ac_u8 rest[104];
};
static_assert(AC_OFFSET(ac_host_line, heartbeat) == 0, "ac_host_line.heartbeat is not at 0");
static_assert(AC_OFFSET(ac_host_line, wall_us) == 8, "ac_host_line.wall_us is not at 8");
static_assert(AC_OFFSET(ac_host_line, stop) == 16, "ac_host_line.stop is not at 16");
static_assert(AC_OFFSET(ac_host_line, parked) == 20, "ac_host_line.parked is not at 20");
static_assert(AC_OFFSET(ac_host_line, rest) == 24, "ac_host_line.rest is not at 24");
static_assert(sizeof(ac_host_line) == 128, "ac_host_line is not 128 bytes");
static_assert(alignof(ac_host_line) == 8, "ac_host_line is not aligned to 8");

struct ac_host_block {
  ac_u32 k2h_read;
  ac_u32 kill_epoch;
  ac_u32 bell;
  ac_u8 rest[116];
};
static_assert(AC_OFFSET(ac_host_block, k2h_read) == 0, "ac_host_block.k2h_read is not at 0");
static_assert(AC_OFFSET(ac_host_block, kill_epoch) == 4, "ac_host_block.kill_epoch is not at 4");
static_assert(AC_OFFSET(ac_host_block, bell) == 8, "ac_host_block.bell is not at 8");
static_assert(AC_OFFSET(ac_host_block, rest) == 12, "ac_host_block.rest is not at 12");
static_assert(sizeof(ac_host_block) == 128, "ac_host_block is not 128 bytes");
static_assert(alignof(ac_host_block) == 4, "ac_host_block is not aligned to 4");

struct ac_dev_block {
  ac_u32 seq;
  ac_u32 state;
  ac_u32 h2k_read;
  ac_u32 k2h_written;
  ac_u32 parked;
  ac_u32 bell;
  ac_u64 heartbeat;
  ac_u64 apart[4];
  ac_u32 running;
  ac_u32 running_kind;
  ac_u64 since;
  ac_u64 handled;
  ac_u64 bounced;
  ac_u64 faults;
  ac_u64 commands;
  ac_u8 rest[16];
};
static_assert(AC_OFFSET(ac_dev_block, seq) == 0, "ac_dev_block.seq is not at 0");
static_assert(AC_OFFSET(ac_dev_block, state) == 4, "ac_dev_block.state is not at 4");
static_assert(AC_OFFSET(ac_dev_block, h2k_read) == 8, "ac_dev_block.h2k_read is not at 8");
static_assert(AC_OFFSET(ac_dev_block, k2h_written) == 12, "ac_dev_block.k2h_written is not at 12");
static_assert(AC_OFFSET(ac_dev_block, parked) == 16, "ac_dev_block.parked is not at 16");
static_assert(AC_OFFSET(ac_dev_block, bell) == 20, "ac_dev_block.bell is not at 20");
static_assert(AC_OFFSET(ac_dev_block, heartbeat) == 24, "ac_dev_block.heartbeat is not at 24");
static_assert(AC_OFFSET(ac_dev_block, apart) == 32, "ac_dev_block.apart is not at 32");
static_assert(AC_OFFSET(ac_dev_block, running) == 64, "ac_dev_block.running is not at 64");
static_assert(AC_OFFSET(ac_dev_block, running_kind) == 68, "ac_dev_block.running_kind is not at 68");
static_assert(AC_OFFSET(ac_dev_block, since) == 72, "ac_dev_block.since is not at 72");
static_assert(AC_OFFSET(ac_dev_block, handled) == 80, "ac_dev_block.handled is not at 80");
static_assert(AC_OFFSET(ac_dev_block, bounced) == 88, "ac_dev_block.bounced is not at 88");
static_assert(AC_OFFSET(ac_dev_block, faults) == 96, "ac_dev_block.faults is not at 96");
static_assert(AC_OFFSET(ac_dev_block, commands) == 104, "ac_dev_block.commands is not at 104");
static_assert(AC_OFFSET(ac_dev_block, rest) == 112, "ac_dev_block.rest is not at 112");
static_assert(sizeof(ac_dev_block) == 128, "ac_dev_block is not 128 bytes");
static_assert(alignof(ac_dev_block) == 8, "ac_dev_block is not aligned to 8");

#define AC_MAGIC 0x1555047414341ull
#define AC_LINE 64u
#define AC_CONTROL 128u
#define AC_INLINE 36u
#define AC_INLINE_STAMPED 12u
#define AC_MORE 48u
#define AC_INDEX_BITS 20u
#define AC_USER 256u
#define AC_REASON_SHIFT 10u
#define AC_FLAG_STAMPED 1u
#define AC_FLAG_REPLY 4u
#define AC_FLAG_ERROR 8u
#define AC_FLAG_TOLD 256u
#define AC_FLAG_BOUNCED 512u
#define AC_FLAG_SENDER 16384u
#define AC_REASON_NO_ACTOR 1u
#define AC_REASON_STALE 2u
#define AC_REASON_SUSPENDED 3u
#define AC_REASON_STOPPED 4u
#define AC_REASON_UNKNOWN_KIND 5u
#define AC_REASON_EXPIRED 6u
#define AC_REASON_FAILED 7u
#define AC_COMMAND_PING 1u
#define AC_COMMAND_RESUME 5u
#define AC_COMMAND_RESET 8u
#define AC_COMMAND_SPAWN 9u
#define AC_COMMAND_STOP 10u
#define AC_COMMAND_STATS 14u
#define AC_COMMAND_POISON 18u
#define AC_STATUS_OK 0u
#define AC_STATUS_UNSUPPORTED 1u
#define AC_STATUS_BAD_STATE 2u
#define AC_STATUS_BAD_ARG 3u
#define AC_STATUS_FAULT 7u
#define AC_STOP_RUN 0u
#define AC_STOP_NOW 2u
#define AC_STATE_NOT_STARTED 0u
#define AC_STATE_RUNNING 1u
#define AC_STATE_ENDED 3u
#define AC_STATE_ORPHANED 4u
// clang-format on
