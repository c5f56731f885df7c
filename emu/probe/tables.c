#include "tables.h"

#include <string.h>

/* --- streams --------------------------------------------------------------------------------------------------------- */

static uint64_t hash_stream(const stream_table *t, const stream *key) {
    const uint8_t *events = t->events.at;
    uint64_t h = ((uint64_t)key->start << 32 | key->end) ^ ((uint64_t)key->layer << 2 | key->taken << 1 | key->entered) * 0x9E3779B97F4A7C15u ^
                 key->context * 0xD6E8FEB86659FD93u;
    uint32_t i = 0;
    for (; i + 8 <= t->event_count; i += 8) {
        uint64_t word;
        memcpy(&word, events + i, 8);
        h = (h ^ word) * 0xFF51AFD7ED558CCDu;
        h ^= h >> 32;
    }
    for (; i < t->event_count; i++)
        h = (h ^ events[i]) * 0x100000001B3u;
    h *= 0xC4CEB9FE1A85EC53u;
    return h ^ h >> 29;
}

/* Never by the hash alone: a count is exact or it is wrong. */
static int same_stream(const stream_table *t, const stream *s, const stream *key) {
    return s->start == key->start && s->end == key->end && s->layer == key->layer && s->context == key->context &&
           s->taken == key->taken && s->entered == key->entered && s->event_count == t->event_count &&
           (!s->event_count || !memcmp((const uint8_t *)t->pool.at + s->events, t->events.at, s->event_count));
}

static void index_streams(stream_table *t) {
    uint32_t size = t->slots ? (t->mask + 1) * 2 : 1024;
    uint32_t *slots = allocate(size, sizeof *slots);
    const stream *streams = t->streams.at;
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t slot = streams[i].hash & (size - 1);
        while (slots[slot])
            slot = (slot + 1) & (size - 1);
        slots[slot] = i + 1;
    }
    free(t->slots);
    t->slots = slots;
    t->mask = size - 1;
}

static uint32_t find_or_add(stream_table *t, const stream *key, price_fn price) {
    uint64_t hash = hash_stream(t, key);
    stream *streams = t->streams.at;
    uint32_t slot = hash & t->mask;
    for (; t->slots[slot]; slot = (slot + 1) & t->mask)
        if (streams[t->slots[slot] - 1].hash == hash && same_stream(t, &streams[t->slots[slot] - 1], key))
            return t->slots[slot] - 1;
    streams = room_for(&t->streams, (t->count + 1) * sizeof *streams);
    uint8_t *pool = room_for(&t->pool, t->pool_size + t->event_count + 1);
    if (t->event_count)
        memcpy(pool + t->pool_size, t->events.at, t->event_count);
    stream *new = &streams[t->count];
    *new = *key;
    new->hash = hash;
    new->count = 0;
    new->price = price ? price(key->start, key->end, key->taken, key->entered, t->events.at, t->event_count) : 0;
    new->events = t->pool_size;
    new->event_count = t->event_count;
    t->pool_size += t->event_count;
    t->slots[slot] = ++t->count;
    if (t->count * 2 > t->mask)
        index_streams(t);
    return t->count - 1;
}

void streams_new(stream_table *t) { index_streams(t); }

void streams_free(stream_table *t) {
    free(t->events.at);
    free(t->streams.at);
    free(t->pool.at);
    free(t->slots);
}

uint32_t count_stream(stream_table *t, const stream *key, price_fn price) {
    if (t->last >= t->count || !same_stream(t, (const stream *)t->streams.at + t->last, key))
        t->last = find_or_add(t, key, price);
    stream *found = (stream *)t->streams.at + t->last;
    found->count++;
    t->event_count = 0;
    return found->price;
}

/* --- sites ----------------------------------------------------------------------------------------------------------- */

static site *site_slot(site *sites, uint32_t mask, const site *key) {
    uint32_t slot = key->pc * 0x9E3779B9u ^ key->layer * 0x85EBCA6Bu ^ key->context * 0x27D4EB2Fu ^ (key->kind << 6 | key->bucket) * 0xC2B2AE35u;
    for (slot ^= slot >> 16;; slot++) {
        site *s = &sites[slot & mask];
        if (!s->count || (s->pc == key->pc && s->layer == key->layer && s->context == key->context && s->kind == key->kind && s->bucket == key->bucket))
            return s;
    }
}

static void index_sites(site_table *t) {
    uint32_t size = t->sites ? (t->mask + 1) * 2 : 256;
    site *sites = allocate(size, sizeof *sites);
    for (uint32_t i = 0; t->sites && i <= t->mask; i++)
        if (t->sites[i].count)
            *site_slot(sites, size - 1, &t->sites[i]) = t->sites[i];
    free(t->sites);
    t->sites = sites;
    t->mask = size - 1;
}

void sites_new(site_table *t) { index_sites(t); }
void sites_free(site_table *t) { free(t->sites); }

void count_site(site_table *t, const site *key, uint64_t times) {
    site *s = site_slot(t->sites, t->mask, key);
    if (!s->count) {
        *s = *key;
        s->count = 0;
        t->count++;
    }
    s->count += times;
    if (t->count * 2 > t->mask)
        index_sites(t);
}
