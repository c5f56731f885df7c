/* Native followers: caches and branch predictors, whose answers depend on history, which streams do not have.
 *
 * Each follower is a deterministic model that watches what the probe tells it. Of data and branches it reports events by pc; the
 * probe counts an event as a site of kind FOLLOWED + the follower's number, the event as its bucket. Of fetch it says which of a
 * stream's lines were not there; that becomes part of the stream, since what a late line costs depends on what executes around it.
 * What an event costs is not known here. Without a follower there is no `follow` and nothing is called. `follow.py` is Python's
 * view, held against follow_size(). */
#ifndef THUMBCYCLE_FOLLOW_H
#define THUMBCYCLE_FOLLOW_H

#include <stddef.h>
#include <stdint.h>

enum { FOLLOWED = 0x40 }; /* site kinds from here on are followers: FOLLOWED + number */

enum { FOLLOW_CACHE = 1, FOLLOW_PREDICTOR = 2 };
enum { WATCH_FETCH = 1, WATCH_LOAD = 2, WATCH_STORE = 4 };
enum { REPLACE_LRU = 0, REPLACE_RANDOM = 1, REPLACE_ROUND_ROBIN = 2 };
enum { FOLLOW_RANGES = 4 };

/* One follower's parameters; what its kind does not use is 0. `line`, `sets`, `btb_sets` and `counters` are powers of two. */
typedef struct {
    uint32_t kind;
    uint32_t watches, ranges, start[FOLLOW_RANGES], size[FOLLOW_RANGES]; /* of a cache: the accesses that it sees */
    uint32_t line, sets, ways, replacement; /* line in bytes; no ways: fetch has its current line and nothing is kept */
    uint32_t write_back, store_allocates;
    uint32_t prefetch; /* fetch: the line behind the current one is on its way without being asked for */
    uint32_t btb_sets, btb_ways;
    uint32_t counters, history; /* two-bit counters, and bits of global history in their index; 0: a counter in every entry of the BTB */
    uint32_t return_stack;
} follower;

/* Events of a stream, behind its others: FETCHED + number of the follower, then one for each line of the stream: it was there, it
 * was not, or it was on its way, by prefetch, since ON_ITS_WAY + that many (0 to 15) ticks before the stream began or, with 0, since
 * the line before it. Nothing stands there of a follower that had all lines. */
enum { LINE_HIT = 0x90, LINE_MISS = 0x91, ON_ITS_WAY = 0xA0, MOST_TICKS = 15, FETCHED = 0xC0, MOST_FOLLOWERS = 16 };
/* Events of a cache at the instruction that accessed; EVICTED: a line that was written. */
enum { LOAD_MISS = 1, STORE_MISS = 2, EVICTED = 3 };
/* Events of a predictor: the direction was wrong; the target was (of a branch through a register); a branch that was taken and
 * foreseen, or cannot but be taken, was not in the BTB, so its target came with its decoding. */
enum { WRONG_DIRECTION = 1, WRONG_TARGET = 2, NOT_BUFFERED = 3 };

/* What a branch is, as bits; 0: direct and always taken. */
enum { BRANCH_CONDITIONAL = 1, BRANCH_CALL = 2, BRANCH_RETURN = 4, BRANCH_INDIRECT = 8 };

typedef void (*follow_report)(void *user, uint32_t number, uint32_t pc, uint32_t event);

typedef struct follow follow;

size_t follow_size(void);
/* NULL when there are no followers; aborts without memory. follow.py has checked the parameters. */
follow *follow_new(const follower *followers, uint32_t count, follow_report report, void *user);
void follow_free(follow *f); /* NULL is fine */

/* A stream that ended: the bytes from `start` up to `end` (exclusive) were fetched in a row. `ticks`: instructions + words loaded,
 * which is about the cycles that it took. Returns its events, `count` of them, until the next call. */
const uint8_t *follow_fetch(follow *f, uint32_t start, uint32_t end, uint32_t ticks, uint32_t *count);
/* One bus access (each word of LDM and STM on its own), before it happens. */
void follow_access(follow *f, uint32_t pc, uint32_t address, uint32_t size, int store);
/* A branch that executed (not one that an IT block skipped): execution went on at `next`; `behind` is the address behind the
 * branch, where it went when it was not taken. Both even. */
void follow_branch(follow *f, uint32_t pc, uint32_t behind, uint32_t next, uint32_t what, int taken);

#endif
