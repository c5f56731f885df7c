#include "calls.h"

#include <stdlib.h>
#include <string.h>

#include "paths.h"

/* Far above what firmware needs; a hostile program meets them. */
enum { MOST_FRAMES = 1 << 18, MOST_THREADS = 256 };
enum { CALLED, HANDLING, FIRST }; /* kinds of frames; FIRST: nothing called it */

/* A function that has not returned: where it returns to, the stack pointer at the call, the lowest since (and until the last tail call),
 * the caller's context and its own first one (a tail call changes it). Of a handler, where it struck and the interrupted code's sp. */
typedef struct {
    uint32_t kind, return_pc, sp, lowest, lowest_before, caller, entered, pc, interrupted_sp;
} frame;

typedef struct {
    frame *frames;
    uint32_t count, context, pc, sp;
} thread; /* one that an exception handler has put aside */

struct calls {
    path_table tree;
    buffer frames;
    uint32_t frame_count, here, sp; /* here: the context; sp: when it was last seen */
    thread threads[MOST_THREADS];
    uint32_t thread_count, aside; /* aside: frames of all threads */
};

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

static uint32_t function_at(const calls *c, uint32_t number) { return context_at(&c->tree, number)->function; }
static uint32_t path_here(const calls *c) { return context_at(&c->tree, c->here)->path; }

/* Counts a call of `function`, on the path `on`: its context. */
static uint32_t call(calls *c, uint32_t pc, uint32_t layer, uint32_t function, uint32_t kind, uint32_t on) {
    return count_call(&c->tree, &(call_edge){.context = c->here, .pc = pc, .layer = layer, .function = function, .kind = kind}, on);
}

/* --- frames ------------------------------------------------------------------------------------------------------------ */

static frame *top(calls *c) { return c->frame_count ? (frame *)c->frames.at + c->frame_count - 1 : NULL; }

/* The innermost frame when it is a call's. */
static frame *called(calls *c) {
    frame *f = top(c);
    return f && f->kind == CALLED ? f : NULL;
}

/* Room for more frames; in an endless recursion that uses no stack the oldest half is forgotten. */
static frame *more_frames(calls *c, uint32_t more) {
    if (c->frame_count + more > MOST_FRAMES) {
        uint32_t forgotten = (c->frame_count + 1) / 2;
        c->frame_count -= forgotten;
        memmove(c->frames.at, (frame *)c->frames.at + forgotten, c->frame_count * sizeof(frame));
    }
    return (frame *)room_for(&c->frames, (c->frame_count + more) * sizeof(frame)) + c->frame_count;
}

static frame *push(calls *c, uint32_t kind, uint32_t return_pc, uint32_t sp, uint32_t to) {
    frame *f = more_frames(c, 1);
    *f = (frame){.kind = kind, .return_pc = return_pc, .sp = sp, .lowest = sp, .lowest_before = sp, .caller = c->here, .entered = to};
    c->frame_count++;
    c->here = to;
    return f;
}

/* The function that runs leaves: what it used of the stack is its context's. */
static void note_stack(calls *c, const frame *f) {
    context *here = context_at(&c->tree, c->here);
    if (f->sp - f->lowest > here->stack)
        here->stack = f->sp - f->lowest;
}

/* Leave the innermost frame; its stack is its caller's, too. */
static void pop(calls *c) {
    frame f = *top(c);
    note_stack(c, &f);
    c->frame_count--;
    c->here = f.caller;
    frame *under = top(c);
    if (under && f.kind == CALLED)
        under->lowest = least(under->lowest, least(f.lowest, f.lowest_before));
}

static void tail_call(calls *c, const branch *b) {
    uint32_t to = call(c, b->pc, b->layer, b->to, TAIL, path_here(c));
    frame *f = top(c);
    if (f) {
        note_stack(c, f);
        f->lowest_before = least(f->lowest_before, f->lowest);
        f->lowest = least(f->sp, b->sp);
    }
    c->here = to;
}

/* A longjmp can end in a function whose callees used no stack: their frames begin where the stack pointer is now. */
static int left_frames_without_stack(calls *c, const branch *b) {
    const frame *frames = c->frames.at;
    for (uint32_t n = c->frame_count; n-- && frames[n].kind == CALLED && frames[n].sp == b->sp;)
        if (function_at(c, frames[n].caller) == b->to) {
            while (c->frame_count > n)
                pop(c);
            return 1;
        }
    return 0;
}

/* Whatever the stack pointer is: a prologue that is a function leaves something behind. */
static int returned(calls *c, const branch *b) {
    frame *f = called(c);
    if (!f || f->return_pc != b->target || (b->begins && !(b->flags & RETURNS)))
        return 0;
    pop(c);
    return 1;
}

/* A branch that does not link: a return, a longjmp, a tail call, or a jump between the parts of a function. */
static void jump(calls *c, const branch *b) {
    frame *f;
    if (returned(c, b))
        return;
    while ((f = called(c)) && f->sp < b->sp) /* their stack is gone: a longjmp */
        pop(c);
    if (returned(c, b))
        return;
    if (b->from == b->to || !b->to || (b->flags & INDIRECT && !b->begins && left_frames_without_stack(c, b)) || function_at(c, c->here) == b->to)
        return;
    f = top(c);
    if (!b->begins && f && function_at(c, f->entered) == b->to) /* back from a part that has a name of its own */
        c->here = f->entered;
    else if (!b->begins && on_path(&c->tree, path_here(c), b->to))
        c->here = context_of(&c->tree, path_here(c), b->to, c->here);
    else
        tail_call(c, b);
}

/* --- what the probe tells ---------------------------------------------------------------------------------------------- */

void calls_branch(calls *c, const branch *b) {
    if (b->flags & LINKS && (b->begins || b->from != b->to))
        push(c, CALLED, b->behind, b->sp, call(c, b->pc, b->layer, b->to, CALL, path_here(c)));
    else
        jump(c, b);
}

/* The first of the interrupted thread's frames: those behind the innermost handler's. */
static uint32_t first_of_thread(const calls *c) {
    const frame *frames = c->frames.at;
    uint32_t first = c->frame_count;
    while (first && frames[first - 1].kind != HANDLING)
        first--;
    return first;
}

/* The thread goes on on another stack: what its functions used of this one is written down, and they begin anew. */
static void move_stack(calls *c, uint32_t sp) {
    uint32_t first = first_of_thread(c), here = c->here, lowest = UINT32_MAX;
    for (uint32_t n = c->frame_count; n-- > first; c->here = ((frame *)c->frames.at)[n].caller) {
        frame *f = (frame *)c->frames.at + n;
        f->lowest = least(f->lowest, lowest);
        note_stack(c, f);
        lowest = least(f->lowest, f->lowest_before);
        f->sp = f->lowest = f->lowest_before = sp;
    }
    c->here = here;
}

void calls_stack(calls *c, uint32_t sp, uint32_t flags) {
    frame *f = top(c);
    if (!f)
        return;
    int chosen = !(flags & WRITES_SP) || f->kind == FIRST; /* MSR chose a stack, or start-up code gave itself one */
    if (flags & SETS_SP && sp != c->sp && chosen)
        move_stack(c, sp);
    c->sp = sp;
    f->lowest = least(f->lowest, sp);
    context *here = context_at(&c->tree, c->here);
    if (sp < f->sp && f->sp - sp > here->own_stack)
        here->own_stack = f->sp - sp;
}

/* --- exceptions and threads -------------------------------------------------------------------------------------------- */

void calls_exception(calls *c, const exception *e) {
    uint32_t to = call(c, e->pc, e->layer, e->handler, HANDLER, 0); /* nobody called it: it stands on an empty path */
    frame *f = push(c, HANDLING, e->return_pc, e->handler_sp, to);
    f->interrupted_sp = e->sp;
    f->pc = e->pc;
}

/* Leaves everything down to the innermost handler, and it; false when there is none. */
static int leave_handler(calls *c, frame *handler) {
    while (top(c) && top(c)->kind != HANDLING)
        pop(c);
    if (!top(c))
        return 0;
    *handler = *top(c);
    pop(c);
    return 1;
}

static void forget_thread(calls *c, uint32_t number) {
    c->aside -= c->threads[number].count;
    free(c->threads[number].frames);
    memmove(&c->threads[number], &c->threads[number + 1], (size_t)(--c->thread_count - number) * sizeof *c->threads);
}

/* The thread ends where it was put aside: its functions leave. */
static void end_thread(calls *c, uint32_t number) {
    thread t = c->threads[number];
    uint32_t here = c->here;
    frame *frames = more_frames(c, t.count);
    uint32_t first = c->frame_count;
    memcpy(frames, t.frames, t.count * sizeof(frame));
    if (t.count)
        frames->kind = FIRST;
    c->frame_count += t.count;
    c->here = t.context;
    while (c->frame_count > first)
        pop(c);
    c->here = here;
    forget_thread(c, number);
}

/* The thread is kept until somebody returns there; of too many the oldest are forgotten. */
static void put_aside(calls *c, uint32_t pc, uint32_t sp) {
    uint32_t first = first_of_thread(c), count = c->frame_count - first;
    while (c->thread_count && (c->thread_count == MOST_THREADS || c->aside + count > MOST_FRAMES))
        forget_thread(c, 0);
    thread *t = &c->threads[c->thread_count++];
    *t = (thread){allocate(count + 1, sizeof(frame)), count, c->here, pc, sp};
    memcpy(t->frames, (const frame *)c->frames.at + first, count * sizeof(frame));
    c->aside += count;
    c->frame_count = first;
}

/* Execution goes on in the thread that we are in, but not where it was interrupted: its handler moved the program counter. */
static void go_on(calls *c, uint32_t from_pc, uint32_t pc, uint32_t function, uint32_t sp, uint32_t layer) {
    if (from_pc != pc)
        jump(c, &(branch){.pc = from_pc, .from = function_at(c, c->here), .target = pc, .to = function, .flags = INDIRECT, .sp = sp,
                          .layer = layer});
}

static int take_up(calls *c, uint32_t pc, uint32_t function, uint32_t begins, uint32_t sp, uint32_t layer) {
    for (uint32_t i = 0; i < c->thread_count; i++) {
        thread t = c->threads[i];
        if (t.sp != sp)
            continue;
        if (t.pc != pc && begins) { /* another thread was made on that one's stack */
            end_thread(c, i);
            return 0;
        }
        memcpy(more_frames(c, t.count), t.frames, t.count * sizeof(frame));
        c->frame_count += t.count;
        c->here = t.context;
        forget_thread(c, i);
        go_on(c, t.pc, pc, function, sp, layer);
        return 1;
    }
    return 0;
}

static void begin(calls *c, uint32_t pc, uint32_t function, uint32_t sp, uint32_t layer) {
    c->here = 0;
    uint32_t to = call(c, pc, layer, function, START, 0);
    push(c, FIRST, 0xFFFFFFFFu, sp, to);
}

void calls_exception_return(calls *c, uint32_t pc, uint32_t function, uint32_t begins, uint32_t sp, uint32_t layer) {
    frame handler;
    if (leave_handler(c, &handler)) {
        if (handler.interrupted_sp == sp && handler.return_pc == pc)
            return;
        put_aside(c, handler.return_pc, handler.interrupted_sp);
    }
    if (!take_up(c, pc, function, begins, sp, layer))
        begin(c, pc, function, sp, layer);
}

void calls_tail_chain(calls *c, uint32_t handler, uint32_t layer) {
    frame before;
    if (leave_handler(c, &before))
        calls_exception(c, &(exception){before.pc, handler, before.return_pc, before.interrupted_sp, before.sp, layer});
}

/* --- for the host ------------------------------------------------------------------------------------------------------ */

calls *calls_new(void) {
    calls *c = allocate(1, sizeof *c);
    paths_new(&c->tree);
    return c;
}

void calls_free(calls *c) {
    if (!c)
        return;
    while (c->thread_count)
        forget_thread(c, c->thread_count - 1);
    free(c->frames.at);
    paths_free(&c->tree);
    free(c);
}

void calls_start(calls *c, uint32_t pc, uint32_t function, uint32_t sp, uint32_t layer) {
    calls_finish(c);
    begin(c, pc, function, sp, layer);
}

void calls_finish(calls *c) {
    while (top(c))
        pop(c);
    c->here = 0;
    while (c->thread_count)
        end_thread(c, c->thread_count - 1);
}

uint32_t calls_here(const calls *c) { return c->here; }

const context *calls_contexts(const calls *c, uint32_t *count) {
    *count = c->tree.context_count;
    return c->tree.contexts.at;
}

const path *calls_paths(const calls *c, uint32_t *count) {
    *count = c->tree.path_count;
    return c->tree.paths.at;
}

const call_edge *calls_edges(const calls *c, uint32_t *count) {
    *count = c->tree.edges ? c->tree.edge_mask + 1 : 0;
    return c->tree.edges;
}

int calls_folded(const calls *c) { return c->tree.folded; }
