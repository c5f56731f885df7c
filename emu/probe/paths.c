#include "paths.h"

/* Far above what firmware needs; a hostile program meets them. */
enum { MOST_PATHS = 1 << 15, MOST_CONTEXTS = 1 << 16, MOST_EDGES = 1 << 17 };
enum { TO_PATH, TO_CONTEXT }; /* what the index finds */

static uint32_t mixed(uint64_t key) {
    key *= 0x9E3779B97F4A7C15u;
    return (uint32_t)(key >> 32) ^ (uint32_t)key;
}

static void grow_index(path_table *t) {
    uint32_t size = t->index ? (t->index_mask + 1) * 2 : 256;
    uint64_t *keys = allocate(size, sizeof *keys);
    uint32_t *found = allocate(size, sizeof *found);
    for (uint32_t i = 0; t->index && i <= t->index_mask; i++)
        if (t->index[i]) {
            uint32_t slot = mixed(t->index[i]) & (size - 1);
            while (keys[slot])
                slot = (slot + 1) & (size - 1);
            keys[slot] = t->index[i];
            found[slot] = t->found[i];
        }
    free(t->index);
    free(t->found);
    t->index = keys;
    t->found = found;
    t->index_mask = size - 1;
}

/* The number of (what, a path, a function), which is `next` when it is new and there is room; NULL when there is none. */
static const uint32_t *number_of(path_table *t, uint32_t what, uint32_t at, uint32_t function, uint32_t next, uint32_t most) {
    if (t->index_count * 2 >= t->index_mask)
        grow_index(t);
    uint64_t key = 1ull << 63 | (uint64_t)what << 62 | (uint64_t)at << 20 | function; /* a function's number has 16 bits */
    uint32_t slot = mixed(key) & t->index_mask;
    while (t->index[slot] && t->index[slot] != key)
        slot = (slot + 1) & t->index_mask;
    if (!t->index[slot]) {
        if (next == most) {
            t->folded = 1;
            return NULL;
        }
        t->index[slot] = key;
        t->found[slot] = next;
        t->index_count++;
    }
    return &t->found[slot];
}

int on_path(const path_table *t, uint32_t at, uint32_t function) {
    const path *paths = t->paths.at;
    for (; at; at = paths[at].parent)
        if (paths[at].function == function)
            return 1;
    return 0;
}

uint32_t context_of(path_table *t, uint32_t at, uint32_t function, uint32_t otherwise) {
    const uint32_t *number = number_of(t, TO_CONTEXT, at, function, t->context_count, MOST_CONTEXTS);
    if (!number)
        return otherwise;
    if (*number == t->context_count) {
        context *contexts = room_for(&t->contexts, (t->context_count + 1) * sizeof *contexts);
        contexts[t->context_count++] = (context){.path = at, .function = function};
    }
    return *number;
}

/* The context of `function` when it is called on the path `at`. Without room for a path it runs on its caller's. */
static uint32_t called_on(path_table *t, uint32_t at, uint32_t function, uint32_t caller) {
    const uint32_t *number = on_path(t, at, function) ? NULL : number_of(t, TO_PATH, at, function, t->path_count, MOST_PATHS);
    if (number) {
        if (*number == t->path_count) {
            path *paths = room_for(&t->paths, (t->path_count + 1) * sizeof *paths);
            paths[t->path_count++] = (path){at, function};
        }
        at = *number;
    }
    return context_of(t, at, function, caller);
}

/* --- edges ------------------------------------------------------------------------------------------------------------- */

static call_edge *edge_slot(call_edge *edges, uint32_t mask, const call_edge *key) {
    uint64_t where = (uint64_t)key->context << 32 ^ (uint64_t)key->pc << 8 ^ (uint64_t)key->function << 3 ^ key->kind;
    uint32_t slot = mixed(where * 31 + key->layer);
    for (;; slot++) {
        call_edge *e = &edges[slot & mask];
        if (!e->count || (e->context == key->context && e->pc == key->pc && e->function == key->function && e->kind == key->kind &&
                          e->layer == key->layer))
            return e;
    }
}

static void grow_edges(path_table *t) {
    uint32_t size = t->edges ? (t->edge_mask + 1) * 2 : 256;
    call_edge *edges = allocate(size, sizeof *edges);
    for (uint32_t i = 0; t->edges && i <= t->edge_mask; i++)
        if (t->edges[i].count)
            *edge_slot(edges, size - 1, &t->edges[i]) = t->edges[i];
    free(t->edges);
    t->edges = edges;
    t->edge_mask = size - 1;
}

uint32_t count_call(path_table *t, const call_edge *call, uint32_t on) {
    if (t->edge_count * 2 >= t->edge_mask)
        grow_edges(t);
    call_edge *e = edge_slot(t->edges, t->edge_mask, call);
    if (!e->count) {
        uint32_t to = called_on(t, on, call->function, call->context);
        if (t->edge_count == MOST_EDGES) {
            t->folded = 1;
            return to;
        }
        *e = *call;
        e->to = to;
        t->edge_count++;
    }
    e->count++;
    return e->to;
}

/* --- the table --------------------------------------------------------------------------------------------------------- */

void paths_new(path_table *t) {
    path *paths = room_for(&t->paths, sizeof *paths);
    paths[0] = (path){0, 0};
    t->path_count = 1;
    context_of(t, 0, 0, 0);
}

void paths_free(path_table *t) {
    free(t->contexts.at);
    free(t->paths.at);
    free(t->edges);
    free(t->index);
    free(t->found);
}
