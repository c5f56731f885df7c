/* What calls.c writes down: paths, contexts and edges, found by hashing. All three are bounded. */
#ifndef THUMBCYCLE_PATHS_H
#define THUMBCYCLE_PATHS_H

#include "calls.h"
#include "tables.h"

typedef struct {
    buffer contexts, paths;
    uint32_t context_count, path_count;
    uint64_t *index; /* open addressing: (what, a path, a function) -> number; a value a slot in `found` */
    uint32_t *found, index_count, index_mask;
    call_edge *edges; /* open addressing; a count of 0 is free */
    uint32_t edge_count, edge_mask;
    int folded; /* something had no room */
} path_table;

void paths_new(path_table *t); /* with context 0: nobody, on path 0 */
void paths_free(path_table *t);

int on_path(const path_table *t, uint32_t at, uint32_t function);
/* The context of `function` on the path `at`; `otherwise` where there is no room for it. */
uint32_t context_of(path_table *t, uint32_t at, uint32_t function, uint32_t otherwise);
/* Counts a call, `e` without count and `to`, of a function that stands on the path `on` then: the callee's context. */
uint32_t count_call(path_table *t, const call_edge *e, uint32_t on);

static inline context *context_at(const path_table *t, uint32_t number) { return (context *)t->contexts.at + number; }

#endif
