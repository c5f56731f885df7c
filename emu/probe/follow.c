/* Caches and branch predictors that follow a run. follow.h says what each sees and reports. */
#include "follow.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    uint32_t tag; /* line number + 1; 0: empty */
    uint32_t dirty;
} way;

typedef struct {
    uint32_t pc, target; /* pc + 1; 0: empty */
    uint32_t counter;    /* 0 to 3; from 2 on taken is foreseen */
} branch_entry;

typedef struct {
    follower p;
    uint32_t number, shift; /* of a line */

    way *ways; /* [sets][ways]; LRU keeps a set in order of use */
    uint32_t *turn; /* [sets]: round robin */
    uint32_t random;
    uint32_t current, run; /* fetch: line number + 1, ticks since it became current */

    branch_entry *btb; /* [btb_sets][btb_ways] in order of use */
    uint8_t *counters;
    uint32_t history;
    uint32_t *returns; /* a ring */
    uint32_t top, depth;
} unit;

struct follow {
    uint32_t count;
    follow_report report;
    void *user;
    uint8_t *events; /* of the stream that ended last */
    uint32_t said, room;
    unit units[];
};

static void *zeroed(size_t count, size_t size) {
    void *new = calloc(count ? count : 1, size);
    if (!new)
        abort();
    return new;
}

size_t follow_size(void) { return sizeof(follower); }

follow *follow_new(const follower *followers, uint32_t count, follow_report report, void *user) {
    if (!count)
        return NULL;
    follow *f = zeroed(1, sizeof *f + count * sizeof(unit));
    *f = (follow){.count = count, .report = report, .user = user};
    for (uint32_t i = 0; i < count; i++) {
        unit *u = &f->units[i];
        u->p = followers[i];
        u->number = i;
        u->shift = u->p.line ? (uint32_t)__builtin_ctz(u->p.line) : 0;
        u->random = 1;
        u->ways = zeroed((size_t)u->p.sets * u->p.ways, sizeof *u->ways);
        u->turn = zeroed(u->p.sets, sizeof *u->turn);
        u->btb = zeroed((size_t)u->p.btb_sets * u->p.btb_ways, sizeof *u->btb);
        u->counters = zeroed(u->p.counters, 1);
        memset(u->counters, 1, u->p.counters);
        u->returns = zeroed(u->p.return_stack, sizeof *u->returns);
    }
    return f;
}

void follow_free(follow *f) {
    for (uint32_t i = 0; f && i < f->count; i++) {
        unit *u = &f->units[i];
        free(u->ways);
        free(u->turn);
        free(u->btb);
        free(u->counters);
        free(u->returns);
    }
    if (f)
        free(f->events);
    free(f);
}

/* --- caches ---------------------------------------------------------------------------------------------------------- */

static int watches(const unit *u, uint32_t kind, uint32_t address) {
    if (!(u->p.watches & kind))
        return 0;
    for (uint32_t i = 0; i < u->p.ranges; i++)
        if (address - u->p.start[i] < u->p.size[i])
            return 1;
    return 0;
}

static way *set_of(const unit *u, uint32_t line) { return u->ways + (size_t)(line & (u->p.sets - 1)) * u->p.ways; }

/* The way that holds the line, now the most recently used; NULL on a miss. */
static way *find(const unit *u, uint32_t line) {
    way *set = set_of(u, line);
    for (uint32_t i = 0; i < u->p.ways; i++) {
        if (set[i].tag != line + 1)
            continue;
        if (i == 0 || u->p.replacement != REPLACE_LRU)
            return &set[i];
        way used = set[i];
        memmove(set + 1, set, i * sizeof *set);
        set[0] = used;
        return set;
    }
    return NULL;
}

/* A free way of the set, or else the way to replace. */
static uint32_t victim(unit *u, const way *set, uint32_t line) {
    if (u->p.replacement == REPLACE_LRU)
        return u->p.ways - 1;
    for (uint32_t i = 0; i < u->p.ways; i++)
        if (!set[i].tag)
            return i;
    if (u->p.replacement == REPLACE_ROUND_ROBIN)
        return u->turn[line & (u->p.sets - 1)]++ % u->p.ways;
    u->random ^= u->random << 13; /* Marsaglia's xorshift, seed 1 */
    u->random ^= u->random >> 17;
    u->random ^= u->random << 5;
    return u->random % u->p.ways;
}

static void keep(follow *f, unit *u, uint32_t pc, uint32_t line, uint32_t dirty) {
    if (!u->p.ways)
        return;
    way *set = set_of(u, line);
    uint32_t at = victim(u, set, line);
    if (set[at].tag && set[at].dirty)
        f->report(f->user, u->number, pc, EVICTED);
    if (u->p.replacement == REPLACE_LRU) {
        memmove(set + 1, set, at * sizeof *set);
        at = 0;
    }
    set[at] = (way){line + 1, dirty};
}

static uint32_t few(uint32_t ticks) { return ticks < MOST_TICKS ? ticks : MOST_TICKS; }

static void say(follow *f, uint32_t event) {
    if (f->said == f->room) {
        f->room = f->room ? f->room * 2 : 64;
        f->events = realloc(f->events, f->room);
        if (!f->events)
            abort();
    }
    f->events[f->said++] = (uint8_t)event;
}

/* Fetch needs a line that is not the current one; it becomes that. `before`: ticks of the current one ahead of this stream. */
static uint32_t next_line(follow *f, unit *u, uint32_t pc, uint32_t line, uint32_t before) {
    uint32_t event = u->p.prefetch && u->current && line == u->current ? ON_ITS_WAY + before : LINE_MISS;
    if (find(u, line))
        event = LINE_HIT;
    else
        keep(f, u, pc, line, 0);
    u->current = line + 1;
    return event;
}

const uint8_t *follow_fetch(follow *f, uint32_t start, uint32_t end, uint32_t ticks, uint32_t *count) {
    f->said = 0;
    for (unit *u = f->units; u < f->units + f->count; u++) {
        if (!watches(u, WATCH_FETCH, start))
            continue;
        uint32_t line = start >> u->shift, last = (end - 1) >> u->shift, mark = f->said, late = 0, here = start;
        say(f, FETCHED + u->number);
        for (;; here = line << u->shift) {
            uint32_t event = LINE_HIT;
            if (line + 1 != u->current) {
                event = next_line(f, u, here, line, u->run);
                u->run = 0;
            }
            late |= event != LINE_HIT;
            say(f, event);
            if (line++ == last)
                break;
        }
        /* of the last line, a share of the ticks by its bytes */
        u->run = few(u->run + (uint32_t)((uint64_t)ticks * (end - here) / (end - start)));
        if (!late)
            f->said = mark;
    }
    *count = f->said;
    return f->events;
}

static void data_line(follow *f, unit *u, uint32_t pc, uint32_t line, int store) {
    way *hit = find(u, line);
    uint32_t dirty = store && u->p.write_back;
    if (hit) {
        hit->dirty |= dirty;
        return;
    }
    f->report(f->user, u->number, pc, store ? STORE_MISS : LOAD_MISS);
    if (!store || u->p.store_allocates)
        keep(f, u, pc, line, dirty);
}

void follow_access(follow *f, uint32_t pc, uint32_t address, uint32_t size, int store) {
    for (unit *u = f->units; u < f->units + f->count; u++) {
        if (!watches(u, store ? WATCH_STORE : WATCH_LOAD, address))
            continue;
        uint32_t first = address >> u->shift, last = (address + size - 1) >> u->shift;
        data_line(f, u, pc, first, store);
        if (last != first)
            data_line(f, u, pc, last, store);
    }
}

/* --- branch prediction ------------------------------------------------------------------------------------------------ */

static branch_entry *btb_set(const unit *u, uint32_t pc) {
    return u->btb + (size_t)(pc >> 1 & (u->p.btb_sets - 1)) * u->p.btb_ways;
}

/* The branch's entry, now first of its set; NULL when it has none. */
static branch_entry *buffered(const unit *u, uint32_t pc) {
    branch_entry *set = btb_set(u, pc);
    for (uint32_t i = 0; i < u->p.btb_ways; i++) {
        if (set[i].pc != pc + 1)
            continue;
        branch_entry used = set[i];
        memmove(set + 1, set, i * sizeof *set);
        set[0] = used;
        return set;
    }
    return NULL;
}

static void buffer(const unit *u, uint32_t pc, uint32_t target) {
    branch_entry *set = btb_set(u, pc);
    if (!u->p.btb_ways)
        return;
    memmove(set + 1, set, (u->p.btb_ways - 1) * sizeof *set);
    set[0] = (branch_entry){pc + 1, target, 2};
}

static uint32_t towards(uint32_t counter, int taken) {
    if (taken)
        return counter < 3 ? counter + 1 : 3;
    return counter ? counter - 1 : 0;
}

/* Direction of a conditional branch: foreseen from its counter, which then learns. */
static int foreseen(unit *u, uint32_t pc, branch_entry *entry, int taken) {
    int guess = entry && entry->counter >= 2;
    if (u->p.counters) {
        uint8_t *counter = &u->counters[(pc >> 1 ^ u->history) & (u->p.counters - 1)];
        guess = *counter >= 2;
        *counter = (uint8_t)towards(*counter, taken);
        u->history = (u->history << 1 | (uint32_t)taken) & ((1u << u->p.history) - 1);
    } else if (entry) {
        entry->counter = towards(entry->counter, taken);
    }
    return guess;
}

static uint32_t pop_return(unit *u) {
    if (!u->depth)
        return 1; /* odd: no address */
    u->depth--;
    u->top = (u->top + u->p.return_stack - 1) % u->p.return_stack;
    return u->returns[u->top];
}

static void push_return(unit *u, uint32_t behind) {
    u->returns[u->top] = behind;
    u->top = (u->top + 1) % u->p.return_stack;
    u->depth += u->depth < u->p.return_stack;
}

static uint32_t predict(unit *u, uint32_t pc, uint32_t behind, uint32_t next, uint32_t what, int taken) {
    int stacked = what & BRANCH_RETURN && u->p.return_stack;
    uint32_t target = stacked && taken ? pop_return(u) : 0;
    branch_entry *entry = stacked ? NULL : buffered(u, pc);
    int guess = !(what & BRANCH_CONDITIONAL) || foreseen(u, pc, entry, taken), wrong = 0;
    if (entry && taken) {
        wrong = entry->target != next;
        entry->target = next;
    } else if (taken && !stacked) {
        buffer(u, pc, next);
    }
    if (what & BRANCH_CALL && taken && u->p.return_stack)
        push_return(u, behind);
    if (guess != taken)
        return WRONG_DIRECTION;
    if (!taken)
        return 0;
    if (stacked)
        return target != next ? WRONG_TARGET : 0;
    if (!entry)
        return what & BRANCH_INDIRECT ? WRONG_TARGET : NOT_BUFFERED;
    return wrong ? WRONG_TARGET : 0;
}

void follow_branch(follow *f, uint32_t pc, uint32_t behind, uint32_t next, uint32_t what, int taken) {
    for (unit *u = f->units; u < f->units + f->count; u++) {
        uint32_t event = u->p.kind == FOLLOW_PREDICTOR ? predict(u, pc, behind, next, what, taken) : 0;
        if (event)
            f->report(f->user, u->number, pc, event);
    }
}
