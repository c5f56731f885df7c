/* What the probe keeps: streams by key, sites by key. Both grow, and neither forgets. */
#ifndef THUMBCYCLE_TABLES_H
#define THUMBCYCLE_TABLES_H

#include <stdlib.h>

#include "probe.h"

typedef struct {
    void *at;
    size_t bytes;
} buffer;

/* The events of the stream that is being executed, and every stream that has ended. */
typedef struct {
    buffer events, streams, pool;
    uint32_t event_count, count, last; /* last: the stream that ended last, tried first */
    size_t pool_size;
    uint32_t *slots, mask; /* open addressing: number + 1 */
} stream_table;

typedef struct {
    site *sites; /* open addressing; a count of 0 is free */
    uint32_t count, mask;
} site_table;

/* More than any program has: what goes beyond is made to fill memory. Events in bytes. */
enum { MOST_STREAMS = 1 << 20, MOST_SITES = 1 << 20, MOST_EVENTS = 1 << 28 };

static inline int flooded(const stream_table *streams, const site_table *sites, const site_table *touches) {
    return streams->count >= MOST_STREAMS || streams->pool_size >= MOST_EVENTS || sites->count >= MOST_SITES || touches->count >= MOST_SITES;
}

/* Zeroed memory, or the end: the host cannot go on with counts that are not there. */
static inline void *allocate(size_t count, size_t size) {
    void *new = calloc(count, size);
    if (!new)
        abort();
    return new;
}

static inline void *room_for(buffer *b, size_t bytes) {
    if (b->bytes < bytes) {
        b->bytes = bytes * 2 < 4096 ? 4096 : bytes * 2;
        b->at = realloc(b->at, b->bytes);
        if (!b->at)
            abort();
    }
    return b->at;
}

static inline void add_event(stream_table *t, uint8_t event) {
    uint8_t *events = room_for(&t->events, t->event_count + 1);
    events[t->event_count++] = event;
}

void streams_new(stream_table *t);
void streams_free(stream_table *t);
/* Count the stream with `key`'s start, end, layer, context, taken, entered and length, and the events so far; events begin anew.
 * `price` is asked when the stream is new. Returns its price. */
uint32_t count_stream(stream_table *t, const stream *key, price_fn price);

void sites_new(site_table *t);
void sites_free(site_table *t);
/* Count the site with `key`'s pc, layer, context, kind and bucket, `times`. */
void count_site(site_table *t, const site *key, uint64_t times);

#endif
