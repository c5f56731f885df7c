/* The native probe: counts streams, traffic, sites and stack while Unicorn runs; prices nothing.
 *
 * One UC_HOOK_CODE calls on_code before every instruction. It looks the instruction up in a decoded table, so an access's
 * address follows from registers before the access happens; memory hooks would corrupt IT state (unicorn-engine/unicorn
 * #2309). A stream is what executes between two taken branches; its key is (layer, first and last instruction, whether it
 * ended in a taken branch, events), where the events are the memory of each access and what became of each member of an
 * IT block, in order. The probe also raises what Unicorn lets pass: unaligned LDRD, LDM, VLDR and the like, float while
 * the FPU is off, stack overflow, writes to flash. It never changes the program's state. */
#include "state.h"

/* --- small things ---------------------------------------------------------------------------------------------------- */

static void stop(uc_engine *uc, probe *p, uint32_t kind, uint32_t address, uint32_t size) {
    if (p->fault.kind == NO_FAULT) {
        uint32_t store = p->previous && (p->previous->flags & STORE);
        p->fault = (fault){kind, p->pc, address, size, p->layer, store};
    }
    p->emu_stop(uc);
}

static const entry *look_up(const probe *p, uint32_t pc) {
    for (uint32_t i = 0; i < p->c.code_regions; i++) {
        uint32_t offset = pc - p->c.code[i].start;
        if (offset < p->c.code[i].size)
            return &p->c.code[i].entries[offset >> 1];
    }
    return NULL;
}

uint32_t function_at(const probe *p, uint32_t pc) {
    for (uint32_t i = 0; i < p->c.code_regions; i++) {
        uint32_t offset = pc - p->c.code[i].start;
        if (offset < p->c.code[i].size)
            return p->c.code[i].functions[offset >> 1];
    }
    return 0;
}

uint32_t begins_at(const probe *p, uint32_t pc) {
    const entry *e = look_up(p, pc);
    return e && e->flags & BEGINS;
}

static const data_region *region_of(const probe *p, uint32_t address) {
    for (uint32_t i = 0; i < p->c.data_regions; i++)
        if (address - p->c.data[i].start < p->c.data[i].size)
            return &p->c.data[i];
    return NULL;
}

static uint32_t core_register(const probe *p, uc_engine *uc, int number) {
    static const int ids[17] = {UC_ARM_REG_R0, UC_ARM_REG_R1, UC_ARM_REG_R2, UC_ARM_REG_R3, UC_ARM_REG_R4, UC_ARM_REG_R5,
                                UC_ARM_REG_R6, UC_ARM_REG_R7, UC_ARM_REG_R8, UC_ARM_REG_R9, UC_ARM_REG_R10, UC_ARM_REG_R11,
                                UC_ARM_REG_R12, UC_ARM_REG_SP, UC_ARM_REG_LR, UC_ARM_REG_PC, UC_ARM_REG_CPSR};
    uint32_t value = 0;
    p->reg_read(uc, ids[number], &value);
    return value;
}
enum { SP = 13, LR = 14, PC = 15, CPSR = 16 };

/* --- streams and sites ------------------------------------------------------------------------------------------------ */

static uint32_t context_here(const probe *p) { return p->calls ? calls_here(p->calls) : 0; }

static void add_fetched_lines(probe *p) {
    uint32_t count;
    const uint8_t *events = follow_fetch(p->history, p->start, p->pc + p->previous->size, p->length + p->loaded, &count);
    for (uint32_t i = 0; i < count; i++)
        add_event(&p->streams, events[i]);
    p->loaded = 0;
}

void close_stream(probe *p) {
    stream key = {.start = p->start, .end = p->pc, .layer = p->layer, .context = context_here(p), .length = p->length,
                  .taken = (uint16_t)p->taken, .entered = (uint16_t)p->entered};
    if (p->history)
        add_fetched_lines(p);
    p->cycles += count_stream(&p->streams, &key, p->c.price);
    p->remaining -= p->length;
    p->slice -= p->length;
    p->length = 0;
    p->open = 0;
}

void count_at(probe *p, uint32_t pc, uint32_t kind, uint32_t bucket, uint64_t times) {
    site key = {.pc = pc, .layer = p->layer, .context = context_here(p), .kind = kind, .bucket = bucket};
    count_site(&p->sites, &key, times);
    if (p->c.site_prices)
        p->cycles += times * p->c.site_prices[kind * BUCKETS + bucket];
}

void count_here(probe *p, uint32_t kind, uint32_t bucket) { count_at(p, p->pc, kind, bucket, 1); }

void count_followed(void *user, uint32_t number, uint32_t pc, uint32_t event) { count_at(user, pc, FOLLOWED + number, event, 1); }

/* clz(divisor) - clz(dividend) + 1: the bits of the quotient or one more; 0 when it is 0. An early-terminating divider depends on it. */
static uint32_t quotient_bits(uint32_t dividend, uint32_t divisor, int is_signed) {
    if (is_signed) {
        dividend = (int32_t)dividend < 0 ? 0u - dividend : dividend;
        divisor = (int32_t)divisor < 0 ? 0u - divisor : divisor;
    }
    if (divisor == 0 || dividend < divisor)
        return 0;
    return (uint32_t)(__builtin_clz(divisor) - __builtin_clz(dividend)) + 1;
}

/* --- layers ---------------------------------------------------------------------------------------------------------- */

static uint64_t float_register(const probe *p, int number) {
    uint64_t value = 0;
    p->reg_read(p->uc, UC_ARM_REG_D0 + number, &value);
    return value;
}

static void remember_kept(probe *p) {
    for (int n = 0; n < KEPT_CORE; n++)
        p->kept[n] = core_register(p, p->uc, 4 + n);
    for (int n = 0; n < KEPT_FLOAT; n++)
        p->kept_float[n] = float_register(p, 8 + n);
}

/* A layer has returned: stops where a register that AAPCS has it keep is not what it was. */
void check_kept(probe *p) {
    uint32_t changed = core_register(p, p->uc, SP) == p->layer_sp ? 0 : SP;
    for (int n = 0; n < KEPT_CORE && !changed; n++)
        changed = p->kept[n] == core_register(p, p->uc, 4 + n) ? 0 : 4 + n;
    for (int n = 0; n < KEPT_FLOAT && !changed; n++)
        changed = p->kept_float[n] == float_register(p, 8 + n) ? 0 : 16 + 8 + n;
    if (changed)
        stop(p->uc, p, NOT_KEPT, changed, 0);
}

/* A layer begins where a kernel is entered and ends where that call returns; kernels called inside belong to it. */
static void enter_or_leave_layer(uc_engine *uc, probe *p, const entry *e, uint32_t pc) {
    if (p->layer == 0 && (e->flags & ENTRY) && p->c.layers) {
        p->layer = p->sequence = p->sequence == p->c.layers ? 1 : p->sequence + 1;
        p->layer_return = core_register(p, uc, LR) & ~1u;
        p->layer_sp = core_register(p, uc, SP);
        p->facts[p->layer].entry = pc;
        p->facts[p->layer].calls++;
        if (p->c.keeps)
            remember_kept(p);
    } else if (p->layer && pc == p->layer_return && (p->c.keeps || core_register(p, uc, SP) == p->layer_sp)) { /* else a deeper call returns */
        if (p->c.keeps)
            check_kept(p);
        p->layer = 0;
    }
}

/* Whether the stack pointer is PSP: as MSR and the exceptions' entries and returns left it. */
static int on_process_stack(uc_engine *uc, probe *p) {
    if (p->stack_unknown || (p->previous && p->previous->flags & SETS_SP)) {
        uint32_t control = 0, ipsr = 0;
        p->reg_read(uc, UC_ARM_REG_CONTROL, &control);
        p->reg_read(uc, UC_ARM_REG_IPSR, &ipsr);
        p->on_process_stack = (control & 2) && !(ipsr & 0x1FF);
        p->stack_unknown = 0;
    }
    return p->on_process_stack;
}

static void check_stack(uc_engine *uc, probe *p) {
    uint32_t sp = core_register(p, uc, SP), top = p->layer ? p->layer_sp : p->c.stack_top;
    p->sp = sp;
    p->sp_changed = 0;
    if (sp < top && top - sp > p->facts[p->layer].stack)
        p->facts[p->layer].stack = top - sp;
    if (!on_process_stack(uc, p) && sp < p->c.stack_top && p->c.stack_top - sp > p->peak)
        p->peak = p->c.stack_top - sp;
    if (p->calls)
        calls_stack(p->calls, sp, p->previous ? p->previous->flags : 0);
    if (sp < p->c.stack_limit)
        stop(uc, p, STACK_OVERFLOW, sp, 0);
}

/* A taken branch has led to `pc`: a call, a return, or a jump inside a function, which is nothing. */
void follow_calls(probe *p, uint32_t pc, uint32_t sp) {
    uint32_t flags = p->previous->flags, from = function_at(p, p->pc), to = function_at(p, pc);
    if (from != to || flags & (LINKS | INDIRECT))
        calls_branch(p->calls, &(branch){p->pc, from, pc, to, flags, begins_at(p, pc), p->pc + p->previous->size, sp, p->layer});
}

static void follow_branches(probe *p, uint32_t pc) {
    uint32_t flags = p->previous->flags, behind = p->pc + p->previous->size;
    uint32_t what = (flags & ALWAYS && !(flags & IN_IT) ? 0 : BRANCH_CONDITIONAL) | (flags & LINKS ? BRANCH_CALL : 0) |
                    (flags & RETURNS ? BRANCH_RETURN : 0) | (flags & INDIRECT ? BRANCH_INDIRECT : 0);
    follow_branch(p->history, p->pc, behind, pc, what, p->taken || pc != behind);
}

/* --- the hook -------------------------------------------------------------------------------------------------------- */

/* Records what an IT block skipped between `expected` and `pc`; false when something else lies there. */
int skipped(probe *p, uint32_t pc) {
    uint32_t at = p->expected;
    while (at < pc) {
        const entry *e = look_up(p, at);
        if (!e || !(e->flags & IN_IT))
            return 0;
        add_event(&p->streams, SKIPPED);
        p->length++;
        p->pc = at;
        at += e->size;
    }
    return at == pc;
}

/* The program arrived at `pc`, which is not behind the instruction before: a branch was taken, or an IT block skipped. */
static int discontinuity(uc_engine *uc, probe *p, const entry *e, uint32_t pc) {
    if (p->open) {
        if (!p->taken && !(p->previous->flags & BRANCH)) {
            if (skipped(p, pc))
                return 1;
            stop(uc, p, LOST, pc, 0);
            return 0;
        }
        p->taken = 1;
        close_stream(p);
        if (p->calls)
            follow_calls(p, pc, core_register(p, uc, SP));
        uint32_t kind = flooded(&p->streams, &p->sites, &p->touches) ? FLOOD : p->remaining <= 0 ? LIMIT : p->cycles >= p->deadline ? TIMER : p->slice <= 0 ? SLICE : NO_FAULT;
        if (kind) {
            stop(uc, p, kind, pc, 0);
            return 0;
        }
    }
    if (p->fresh && p->calls)
        calls_start(p->calls, pc, function_at(p, pc), core_register(p, uc, SP), p->layer);
    p->fresh = p->taken = 0;
    p->entered = 1;
    enter_or_leave_layer(uc, p, e, pc);
    p->start = pc;
    p->open = 1;
    return 1;
}

/* A region that the host marked begins or ends at `pc`; a stream that is executing is cut here. */
static void enter_or_leave_region(probe *p, const entry *e, uint32_t pc) {
    uint32_t inside = p->layer ? !(e->flags & TO) || e->flags & FROM : (e->flags & FROM) != 0;
    if (inside == p->layer)
        return;
    if (p->length) {
        close_stream(p);
        p->start = pc;
        p->entered = 0;
        p->open = 1;
    }
    p->layer = inside;
    p->facts[inside].entry = pc;
    p->facts[inside].calls++;
    p->layer_sp = p->c.stack_top;
    p->layer_return = NOWHERE;
}

static int condition_holds(uint32_t cpsr, uint32_t condition) {
    uint32_t n = cpsr >> 31, z = cpsr >> 30 & 1, c = cpsr >> 29 & 1, v = cpsr >> 28 & 1;
    const uint32_t holds[8] = {z, c, n, v, c && !z, n == v, n == v && !z, 1};
    return (holds[condition >> 1 & 7] != 0) != (condition & 1);
}

static void access_device(probe *p, uint32_t address, uint32_t size, uint32_t store) {
    if (!store) {
        p->c.device(address, size, 0);
    } else if (p->stores < MOST_STORES) {
        p->stored[p->stores].address = address;
        p->stored[p->stores++].size = size;
    }
}

static void touch(probe *p, uint32_t object) {
    site key = {.pc = p->pc, .layer = p->layer, .context = context_here(p), .bucket = object};
    count_site(&p->touches, &key, 1);
}

/* An unaligned access that begins in one region ends in the next: both are ordinary memory, and it may be written where it is. */
static int goes_on(const probe *p, const data_region *from, uint32_t last, uint32_t store) {
    const data_region *r = region_of(p, last);
    return r && !r->device && !from->device && (!store || !r->read_only) && r->start == from->start + from->size;
}

/* A layer, in the part of the stack that is nobody's. PUSH and its kin move the stack pointer there first. */
static int below_sp(const probe *p, const entry *e, uint32_t at) {
    return p->layer && p->c.keeps && at < p->sp && at >= p->c.stack_limit && p->sp <= p->c.stack_top && !(e->base == SP && e->flags & WRITES_SP);
}

/* Counts an instruction's accesses, one a word of LDM and STM, before they happen; stops where they would fault. */
static void count_access(uc_engine *uc, probe *p, const entry *e) {
    uint32_t base = e->base != PC ? core_register(p, uc, e->base) : e->flags & LITERAL && e->index < 0 ? (p->pc + 4) & ~3u : p->pc + 4;
    uint32_t address = base + (uint32_t)e->offset, size = e->access_size, store = (e->flags & STORE) != 0;
    if (e->index >= 0)
        address += core_register(p, uc, e->index) << e->scale;
    if (address & (uint32_t)(e->align - 1) || (e->base == SP && address < p->c.stack_limit)) {
        add_event(&p->streams, 0);
        stop(uc, p, address & (uint32_t)(e->align - 1) ? UNALIGNED : STACK_OVERFLOW, address, size);
        return;
    }
    for (uint32_t n = 0, at = address; n < e->accesses; n++, at += size) {
        const data_region *r = region_of(p, at);
        if (!r || (store && r->read_only) || (size > r->size - (at - r->start) && !goes_on(p, r, at + size - 1, store))) {
            if (n == 0)
                add_event(&p->streams, 0);
            stop(uc, p, r && store && r->read_only ? READ_ONLY : UNMAPPED, at, size);
            return;
        }
        uint32_t object = e->flags & LITERAL ? LITERALS : r->objects ? r->objects[at - r->start] : OTHER;
        if (object == UNIMPLEMENTED) {
            if (n == 0)
                add_event(&p->streams, 0);
            stop(uc, p, PERIPHERAL, at, size);
            return;
        }
        if (below_sp(p, e, at)) {
            if (n == 0)
                add_event(&p->streams, 0);
            stop(uc, p, BELOW_SP, at, size);
            return;
        }
        p->c.traffic[((size_t)p->layer * p->c.objects + object) * 6 + store * 3 + (size >> 1)]++;
        if (p->c.touches)
            touch(p, object);
        if (n == 0)
            add_event(&p->streams, r->memory);
        if (p->history) {
            follow_access(p->history, p->pc, at, size, (int)store);
            p->loaded += !store;
        }
        if (r->device)
            access_device(p, at, size, store);
    }
    uint32_t misaligned = address & (size - 1);
    if (misaligned)
        count_here(p, MISALIGNED, misaligned & 1 ? size >> 1 : 1);
}

void on_code(uc_engine *uc, uint64_t address, uint32_t size, void *user) {
    probe *p = user;
    uint32_t pc = (uint32_t)address;
    const entry *e = look_up(p, pc);
    (void)size;
    if (p->stores)
        probe_flush(p);
    if (p->passing) {
        p->passing = 0;
    } else if (p->requested || (e && e->flags & WATCHED && !p->fault.kind)) {
        stop(uc, p, REQUEST, pc, 0);
        return;
    }
    if (!e || !e->size || p->fault.kind) {
        if (!p->previous)
            p->pc = pc;
        stop(uc, p, NOT_CODE, pc, 0);
        return;
    }
    if (p->sp_changed)
        check_stack(uc, p);
    if (p->history && p->open && p->previous->flags & BRANCH)
        follow_branches(p, pc);
    if (pc != p->expected && !discontinuity(uc, p, e, pc))
        return;
    uint32_t flags = e->flags;
    if (flags & (FROM | TO))
        enter_or_leave_region(p, e, pc);
    p->pc = pc;
    p->previous = e;
    p->length++;
    p->expected = pc + e->size;
    if (flags & IN_IT)
        add_event(&p->streams, EXECUTED);
    if (flags & ALWAYS || (flags & TO_NEXT && condition_holds(core_register(p, uc, CPSR), e->condition))) {
        p->taken = 1;
        p->expected = NOWHERE;
    }
    p->sp_changed = (flags & (WRITES_SP | SETS_SP)) != 0;
    if (flags & REFUSED || (flags & FP && (*p->c.cpacr >> 20 & 15) != 15)) {
        if (e->accesses)
            add_event(&p->streams, 0); /* so that a walk along the stream finds one */
        stop(uc, p, flags & REFUSED ? UNDEFINED : FPU_OFF, pc, 0);
        return;
    }
    if (e->accesses)
        count_access(uc, p, e);
    if (flags & DIVIDE)
        count_here(p, QUOTIENT, quotient_bits(core_register(p, uc, e->base), core_register(p, uc, e->index),
                                              (flags & SIGNED) != 0));
}

/* An exception that the program raised; nothing handles it, so the run ends here. */
void on_interrupt(uc_engine *uc, uint32_t number, void *user) {
    enum { SVC = 2, PREFETCH_ABORT = 3, BKPT = 7, EXCEPTION_EXIT = 8 }; /* Unicorn's numbers */
    probe *p = user;
    uint32_t kind = number == BKPT ? BREAKPOINT : number == SVC ? SUPERVISOR_CALL : number == PREFETCH_ABORT || number == EXCEPTION_EXIT ? JUMP : UNDEFINED;
    if (p->stores)
        probe_flush(p);
    stop(uc, p, kind, kind == JUMP ? core_register(p, uc, PC) : p->pc, 0);
}
