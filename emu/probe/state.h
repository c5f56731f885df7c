/* The probe's state, and what its two halves use of each other: probe.c watches the program, control.c serves the host. */
#ifndef THUMBCYCLE_STATE_H
#define THUMBCYCLE_STATE_H

#include "tables.h"

#include <unicorn/unicorn.h>

typedef uc_err (*reg_read_fn)(uc_engine *, int, void *);
typedef uc_err (*emu_stop_fn)(uc_engine *);
typedef uc_err (*hook_add_fn)(uc_engine *, uc_hook *, int, void *, void *, uint64_t, uint64_t, ...);

/* BRANCH, ALWAYS, TO_NEXT, IN_IT, STORE, LITERAL, WRITES_SP, FP, DIVIDE, SIGNED: bits of entry.flags, as emu.isa numbers them; the rest as
 * layout.py does. ENTRY: a kernel's first instruction; REFUSED: not on this core; BEGINS: a function's first instruction; LINKS: BL, BLX;
 * INDIRECT: a branch whose target is a value; RETURNS: BX LR, or a load of PC from the stack; FROM, TO: a region begins, ends; WATCHED: the host
 * wants to be asked first. build.py defines them. */
#define NOWHERE 0xFFFFFFFFu
enum { MOST_STORES = 32, KEPT_CORE = 8, KEPT_FLOAT = 8 };

struct probe {
    config c;
    reg_read_fn reg_read;
    emu_stop_fn emu_stop;

    /* where execution stands */
    const entry *previous;
    uint32_t pc, expected, start, length;
    uint32_t loaded; /* words that the stream loaded, where its fetches are followed */
    int sp_changed, taken, open;
    uint32_t layer, sequence, layer_return, layer_sp, sp;
    uc_engine *uc;
    uint32_t kept[KEPT_CORE];         /* r4 to r11, as the layer found them */
    uint64_t kept_float[KEPT_FLOAT]; /* d8 to d15 */
    int64_t remaining, slice;
    int entered, fresh, requested, passing; /* passing: the instruction that the host let pass */
    uint64_t cycles, deadline; /* of a timed run */

    struct { uint32_t address, size; } stored[MOST_STORES]; /* to devices, by the instruction before: the host is told when it is done */
    uint32_t stores;

    stream_table streams;
    site_table sites, touches;
    calls *calls; /* NULL where functions are not followed */
    follow *history;
    layer_facts *facts; /* [layers + 1] */
    uint32_t peak;
    int stack_unknown, on_process_stack; /* which stack the stack pointer is on; the program's threads may have one each */
    fault fault;
};

#define HIDDEN __attribute__((visibility("hidden"))) /* of this library alone, so that calls in one file are inlined */
HIDDEN uint32_t  function_at(const probe *p, uint32_t pc);
HIDDEN uint32_t  begins_at(const probe *p, uint32_t pc);
HIDDEN void  close_stream(probe *p);
HIDDEN void  count_at(probe *p, uint32_t pc, uint32_t kind, uint32_t bucket, uint64_t times);
HIDDEN void  count_here(probe *p, uint32_t kind, uint32_t bucket);
HIDDEN void  count_followed(void *user, uint32_t number, uint32_t pc, uint32_t event);
HIDDEN void  follow_calls(probe *p, uint32_t pc, uint32_t sp);
HIDDEN void  check_kept(probe *p);
HIDDEN int  skipped(probe *p, uint32_t pc);
HIDDEN void  on_code(uc_engine *uc, uint64_t address, uint32_t size, void *user);
HIDDEN void  on_interrupt(uc_engine *uc, uint32_t number, void *user);

#endif
