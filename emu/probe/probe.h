/* What the probe takes and leaves; `layout.py` is Python's view of it, held against probe_sizes() when it is loaded. */
#ifndef THUMBCYCLE_PROBE_H
#define THUMBCYCLE_PROBE_H

#include <stddef.h>
#include <stdint.h>

/* A decoded instruction: the part of emu.isa's record that counting needs. size 0: no instruction begins here. */
typedef struct {
    uint32_t flags;
    int32_t offset;
    uint8_t size;
    int8_t base, index; /* -1: none; for a divide, dividend and divisor */
    uint8_t scale;
    uint8_t access_size, accesses, align, condition;
} entry;

typedef struct {
    uint32_t start, size;
    const entry *entries; /* one a halfword */
} code_region;

typedef struct {
    uint32_t start, size;
    const uint16_t *objects; /* one a byte: the column of the traffic table */
    uint8_t memory;          /* number told apart in streams, below 0x80 */
    uint8_t read_only;
} data_region;

enum { OTHER = 0, LITERALS = 1, UNIMPLEMENTED = 0xFFFF }; /* objects with a meaning here */

typedef struct {
    void *reg_read, *emu_stop, *hook_add; /* Unicorn's functions, from the library that the host has loaded */
    const code_region *code;
    const data_region *data;
    const uint32_t *cpacr;
    uint64_t *traffic; /* [layers + 1][objects][6]: loads of 1, 2, 4 bytes, stores of 1, 2, 4 bytes */
    int64_t limit;     /* instructions of one run */
    uint32_t code_regions, data_regions, layers, objects, stack_limit, stack_top;
} config;

typedef struct {
    uint64_t hash, count, events; /* events: offset into the pool */
    uint32_t start, end, layer, event_count, length, taken;
} stream;

enum { SKIPPED = 0x80, EXECUTED = 0x81 }; /* events of an IT block's members; smaller ones are the memories of accesses */

enum { MISALIGNED = 1, QUOTIENT = 2 };
typedef struct {
    uint64_t count;
    uint32_t pc, layer, kind, bucket; /* bucket: extra accesses of a misaligned one; of a divide clz(divisor) - clz(dividend) + 1, or 0 */
} site;

enum { NO_FAULT, UNMAPPED, READ_ONLY, UNALIGNED, PERIPHERAL, FPU_OFF, STACK_OVERFLOW, LIMIT, NOT_CODE, LOST, BREAKPOINT,
       SUPERVISOR_CALL, UNDEFINED, JUMP };
typedef struct {
    uint32_t kind, pc, address, size, layer, store;
} fault;

typedef struct {
    uint32_t entry, calls; /* address of the kernel, and how often it was entered as this layer */
    uint32_t stack;        /* bytes below the stack pointer at entry (layer 0: below the top of the stack) */
} layer_facts; /* [0] is the code between layers */

typedef struct probe probe;

size_t probe_sizes(int which);
probe *probe_new(const config *c);
int probe_attach(probe *p, void *uc); /* returns Unicorn's error, 0 when hooked */
void probe_start(probe *p);           /* forget where execution stood and what stopped it, keep counts */
void probe_finish(probe *p, uint32_t pc);
const stream *probe_streams(const probe *p, uint32_t *count);
const uint8_t *probe_events(const probe *p, size_t *size);
const site *probe_sites(const probe *p, uint32_t *count);
const layer_facts *probe_facts(const probe *p);
const fault *probe_fault(probe *p); /* without a fault: NO_FAULT, and where execution stood */
uint32_t probe_peak(const probe *p); /* bytes of stack in all */
void probe_free(probe *p);

#endif
