/* The probe for the host: made, started, resumed and read; told of exceptions and of time. */
#include "state.h"

#include <string.h>

size_t probe_sizes(int which) {
    static const size_t sizes[] = {sizeof(entry), sizeof(code_region), sizeof(data_region), sizeof(config), sizeof(stream),
                                   sizeof(site), sizeof(fault), sizeof(layer_facts), sizeof(context), sizeof(path), sizeof(call_edge)};
    return sizes[which];
}

probe *probe_new(const config *c) {
    probe *p = allocate(1, sizeof *p);
    p->c = *c;
    memcpy(&p->reg_read, &c->reg_read, sizeof c->reg_read);
    memcpy(&p->emu_stop, &c->emu_stop, sizeof c->emu_stop);
    p->facts = allocate(c->layers + 1, sizeof *p->facts);
    streams_new(&p->streams);
    sites_new(&p->sites);
    if (c->touches)
        sites_new(&p->touches);
    if (c->code_regions && c->code[0].functions)
        p->calls = calls_new();
    if (c->follower_count)
        p->history = follow_new(c->followers, c->follower_count, count_followed, p);
    p->deadline = UINT64_MAX;
    p->slice = INT64_MAX;
    probe_start(p);
    return p;
}

int probe_attach(probe *p, void *uc) {
    hook_add_fn hook_add;
    uc_hook handle;
    p->uc = uc;
    memcpy(&hook_add, &p->c.hook_add, sizeof hook_add);
    uc_err error = hook_add(uc, &handle, UC_HOOK_CODE, (void *)on_code, p, 1, 0);
    return error ? error : hook_add(uc, &handle, UC_HOOK_INTR, (void *)on_interrupt, p, 1, 0);
}

void probe_start(probe *p) {
    p->previous = NULL;
    p->expected = NOWHERE;
    p->open = p->taken = 0;
    p->sp_changed = p->stack_unknown = 1;
    p->length = p->streams.event_count = p->layer = p->sequence = 0;
    p->remaining = p->c.limit;
    p->fresh = p->entered = 1;
    p->requested = p->passing = 0;
    p->stores = 0;
    p->fault.kind = NO_FAULT;
}

/* The stream that is executing ends before `pc`. */
static void end_stream(probe *p, uint32_t pc) {
    if (!p->open)
        return;
    if (pc != p->expected && !p->taken) {
        if (p->previous->flags & BRANCH)
            p->taken = 1;
        else
            skipped(p, pc);
    }
    close_stream(p);
}

void probe_finish(probe *p, uint32_t pc) {
    probe_flush(p);
    end_stream(p, pc);
    if (p->c.keeps && p->layer)
        check_kept(p);
    if (p->calls)
        calls_finish(p->calls);
}

void probe_flush(probe *p) {
    uint32_t count = p->stores;
    p->stores = 0;
    for (uint32_t i = 0; i < count; i++)
        p->c.device(p->stored[i].address, p->stored[i].size, 1);
}

void probe_resume(probe *p) {
    p->fault.kind = NO_FAULT;
    p->requested = 0;
    p->passing = 1;
}

void probe_retry(probe *p) {
    if (!p->open || !p->length)
        return;
    p->streams.event_count -= (p->previous->flags & IN_IT ? 1u : 0u) + (p->previous->accesses ? 1u : 0u);
    p->length--;
    p->expected = p->pc;
    p->taken = 0;
}

void probe_data(probe *p, const data_region *data, uint32_t count) {
    p->c.data = data;
    p->c.data_regions = count;
}

int64_t probe_instructions(const probe *p) { return p->c.limit - p->remaining + p->length; }

void probe_request(probe *p) { p->requested = 1; }
void probe_slice(probe *p, int64_t instructions) { p->slice = instructions ? instructions : INT64_MAX; }
void probe_deadline(probe *p, uint64_t cycles) { p->deadline = cycles; }
uint64_t probe_cycles(const probe *p) { return p->cycles; }

int probe_open(const probe *p, stream *open, const uint8_t **events) {
    *open = (stream){.start = p->start, .end = p->pc, .layer = p->layer, .event_count = p->streams.event_count, .length = p->length,
                     .entered = (uint16_t)p->entered};
    *events = p->streams.events.at;
    return p->open;
}

void probe_sleep(probe *p, uint64_t cycles) {
    count_at(p, p->pc, SLEEP, 0, cycles);
    if (!p->c.site_prices)
        p->cycles += cycles;
}

/* Forget where execution stood: it goes on somewhere else. The stream's branch was no branch, but an exception. */
static void leave(probe *p, uint32_t pc) {
    probe_flush(p);
    if (p->open) {
        if (pc != p->expected && !p->taken && !(p->previous->flags & BRANCH))
            skipped(p, pc);
        p->taken = 0;
        close_stream(p);
    }
    p->expected = NOWHERE;
    p->taken = 0;
    p->sp_changed = p->stack_unknown = 1;
}

/* The exception struck behind a branch that was taken: it has led to `pc` before. */
static void arrive(probe *p, uint32_t pc, uint32_t sp) {
    if (!p->open || !(p->previous->flags & BRANCH) || pc == p->expected)
        return;
    p->taken = 1;
    close_stream(p);
    if (p->calls)
        follow_calls(p, pc, sp);
}

void probe_exception_entry(probe *p, uint32_t number, uint32_t handler, uint32_t return_pc, uint32_t sp, uint32_t handler_sp) {
    arrive(p, return_pc, sp);
    leave(p, return_pc);
    if (p->calls) /* first: what entering costs is the handler's */
        calls_exception(p->calls, &(exception){p->pc, function_at(p, handler), return_pc, sp, handler_sp, p->layer});
    count_here(p, EXCEPTION_ENTRY, number & (BUCKETS - 1));
}

void probe_exception_return(probe *p, uint32_t number, uint32_t pc, uint32_t sp) {
    leave(p, pc);
    count_here(p, EXCEPTION_RETURN, number & (BUCKETS - 1));
    if (p->calls)
        calls_exception_return(p->calls, pc, function_at(p, pc), begins_at(p, pc), sp, p->layer);
}

void probe_tail_chain(probe *p, uint32_t number, uint32_t handler) {
    leave(p, handler);
    if (p->calls)
        calls_tail_chain(p->calls, function_at(p, handler), p->layer);
    count_here(p, TAIL_CHAIN, number & (BUCKETS - 1));
}

const stream *probe_streams(const probe *p, uint32_t *count) {
    *count = p->streams.count;
    return p->streams.streams.at;
}

const uint8_t *probe_events(const probe *p, size_t *size) {
    *size = p->streams.pool_size;
    return p->streams.pool.at;
}

const site *probe_sites(const probe *p, uint32_t *count) {
    *count = p->sites.mask + 1;
    return p->sites.sites;
}

const site *probe_touches(const probe *p, uint32_t *count) {
    *count = p->touches.sites ? p->touches.mask + 1 : 0;
    return p->touches.sites;
}

const layer_facts *probe_facts(const probe *p) { return p->facts; }

const fault *probe_fault(probe *p) {
    if (!p->fault.kind)
        p->fault = (fault){.pc = p->pc, .layer = p->layer};
    return &p->fault;
}

uint32_t probe_peak(const probe *p) { return p->peak; }

const context *probe_contexts(const probe *p, uint32_t *count) { return *count = 0, p->calls ? calls_contexts(p->calls, count) : NULL; }
const path *probe_paths(const probe *p, uint32_t *count) { return *count = 0, p->calls ? calls_paths(p->calls, count) : NULL; }
int probe_folded(const probe *p) { return p->calls && calls_folded(p->calls); }
const call_edge *probe_edges(const probe *p, uint32_t *count) { return *count = 0, p->calls ? calls_edges(p->calls, count) : NULL; }

void probe_free(probe *p) {
    if (!p)
        return;
    streams_free(&p->streams);
    sites_free(&p->sites);
    sites_free(&p->touches);
    free(p->facts);
    calls_free(p->calls);
    follow_free(p->history);
    free(p);
}
