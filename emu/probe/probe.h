/* What the probe takes and leaves; `layout.py` is Python's view of it, held against probe_sizes() when it is loaded. */
#ifndef THUMBCYCLE_PROBE_H
#define THUMBCYCLE_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include "calls.h"
#include "follow.h"

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
    const entry *entries;      /* one a halfword */
    const uint16_t *functions; /* one a halfword: number of the function, 0 for none; NULL: calls are not followed */
} code_region;

typedef struct {
    uint32_t start, size;
    const uint16_t *objects; /* one a byte: the column of the traffic table; NULL: all of it is OTHER */
    uint8_t memory;          /* number told apart in streams, below 0x80 */
    uint8_t read_only;
    uint8_t device; /* the host is told of every access: before a load, and after a store */
} data_region;

enum { OTHER = 0, LITERALS = 1, UNIMPLEMENTED = 0xFFFF }; /* objects with a meaning here */

/* Of the host. device: an access to a device; price: cycles of a distinct stream, asked once. */
typedef void (*device_fn)(uint32_t address, uint32_t size, uint32_t store);
typedef uint32_t (*price_fn)(uint32_t start, uint32_t end, uint32_t taken, uint32_t entered, const uint8_t *events, uint32_t event_count);

enum { SITE_KINDS = 0x50, BUCKETS = 256 };

typedef struct {
    void *reg_read, *emu_stop, *hook_add; /* Unicorn's functions, from the library that the host has loaded */
    const code_region *code;
    const data_region *data;
    const uint32_t *cpacr;
    uint64_t *traffic; /* [layers + 1][objects][6]: loads of 1, 2, 4 bytes, stores of 1, 2, 4 bytes */
    int64_t limit;     /* instructions of one run */
    device_fn device;
    price_fn price;              /* NULL: the run is not timed */
    const uint32_t *site_prices; /* [kind][BUCKETS]: cycles of one; used when the run is timed */
    const follower *followers;   /* predictor and caches that follow the run */
    uint32_t code_regions, data_regions, layers, objects, stack_limit, stack_top, follower_count;
    uint32_t touches; /* count accesses by instruction and object, too */
    uint32_t keeps;   /* layers are functions of AAPCS: hold them to the registers that it has them keep */
} config;

typedef struct {
    uint64_t hash, count, events; /* events: offset into the pool */
    uint32_t start, end, layer, context, event_count, length;
    uint32_t price;         /* cycles, where the run is timed */
    uint16_t taken, entered; /* ended in a taken branch; began where one arrived */
} stream;

enum { SKIPPED = 0x80, EXECUTED = 0x81 }; /* events of an IT block's members; smaller ones are the memories of accesses */

/* bucket: extra accesses of a misaligned one; of a divide clz(divisor) - clz(dividend) + 1, or 0; an exception's number; of SLEEP 0, and it
 * is cycles that are counted. Kinds of followers begin at FOLLOWED (follow.h). */
enum { MISALIGNED = 1, QUOTIENT, EXCEPTION_ENTRY, EXCEPTION_RETURN, TAIL_CHAIN, SLEEP };
typedef struct {
    uint64_t count;
    uint32_t pc, layer, context, kind, bucket;
} site;

/* What stopped a run. TIMER: the deadline; SLICE: its share of instructions is used up; REQUEST: the host asked. These three stop before an
 * instruction that has not been counted, so that the run can go on. FLOOD: more distinct streams or sites than a program has.
 * NOT_KEPT: a layer returned, and the register `address` is not what it was; 16 + n: Dn. BELOW_SP: a layer uses the stack where the next
 * interrupt writes. */
enum { NO_FAULT, UNMAPPED, READ_ONLY, UNALIGNED, PERIPHERAL, FPU_OFF, STACK_OVERFLOW, LIMIT, NOT_CODE, LOST, BREAKPOINT,
       SUPERVISOR_CALL, UNDEFINED, JUMP, TIMER, SLICE, REQUEST, FLOOD, NOT_KEPT, BELOW_SP };
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
const site *probe_touches(const probe *p, uint32_t *count); /* kind: 0; bucket: the object; NULL where they are not counted */
const layer_facts *probe_facts(const probe *p);
const context *probe_contexts(const probe *p, uint32_t *count); /* NULL where calls are not followed */
const path *probe_paths(const probe *p, uint32_t *count);
const call_edge *probe_edges(const probe *p, uint32_t *count);
int probe_folded(const probe *p);

/* A run that stopped goes on: what stopped it is forgotten, where it stood is not. Its first instruction is neither watched nor stopped by request. */
void probe_resume(probe *p);
/* The instruction whose fault stopped the run executes after all: it has not been counted. */
void probe_retry(probe *p);
/* Other data regions from now on. */
void probe_data(probe *p, const data_region *data, uint32_t count);
int64_t probe_instructions(const probe *p); /* of this run, the one in progress included */
/* Tell the host of a store to a device that was the last thing to happen. */
void probe_flush(probe *p);
void probe_request(probe *p);                  /* stop before the next instruction */
void probe_slice(probe *p, int64_t instructions); /* stop at the taken branch behind that many; 0: never */
void probe_deadline(probe *p, uint64_t cycles);
uint64_t probe_cycles(const probe *p);         /* of the streams that have ended; the open one is probe_open's */
/* The stream that is executing, up to the instruction in progress: 0 when none is. */
int probe_open(const probe *p, stream *open, const uint8_t **events);
void probe_sleep(probe *p, uint64_t cycles);
/* The host is about to enter, or has left, an exception handler. sp: the stack pointer of the interrupted code. */
void probe_exception_entry(probe *p, uint32_t number, uint32_t handler, uint32_t return_pc, uint32_t sp, uint32_t handler_sp);
void probe_exception_return(probe *p, uint32_t number, uint32_t pc, uint32_t sp);
/* One handler followed another without a return between. */
void probe_tail_chain(probe *p, uint32_t number, uint32_t handler);

const fault *probe_fault(probe *p); /* without a fault: NO_FAULT, and where execution stood */
uint32_t probe_peak(const probe *p); /* bytes of stack in all */
void probe_free(probe *p);

#endif
