/* The call tree: who called whom, how often, and where a run stands in it. Exact for recursion, tail calls, function pointers, longjmp
 * and exceptions; threads that an exception handler switches between keep a stack of calls each. Memory is bounded: calls_folded says when
 * that showed. */
#ifndef THUMBCYCLE_CALLS_H
#define THUMBCYCLE_CALLS_H

#include <stddef.h>
#include <stdint.h>

/* Functions are numbers from 1; 0 is code that no symbol names: it belongs to the function that jumps there, and is one where it is called.
 *
 * A path is the set of functions on the stack, each once, in the order in which they were first called: so there are few of them, however
 * deep a recursion goes, and what a function cost with all that it called is the sum over the paths that hold it. Path 0 is empty. */
typedef struct {
    uint32_t parent, function;
} path;

/* A place in the call tree: `function` runs, and the functions of `path` (it among them) are on the stack. */
typedef struct {
    uint32_t path, function;
    uint32_t stack, own_stack; /* bytes below the stack pointer at the call, the most: with what it called (not by tail calls), without */
} context;

/* Calls from one place in one context and layer. CALL: BL, BLX; TAIL: a jump into another function; HANDLER: an exception, pc is where it
 * struck; START: a run or a thread begins, pc is where, and the context is 0. */
enum { CALL, TAIL, HANDLER, START };
typedef struct {
    uint64_t count;
    uint32_t context, pc, layer, function, to, kind; /* to: the callee's context */
} call_edge;

/* A taken branch at `pc`, where function `from` runs, to `target` in function `to`. flags: the branch's, LINKS, INDIRECT, RETURNS; begins:
 * target is where `to` begins; behind: what follows the branch; sp: as it is now. */
typedef struct {
    uint32_t pc, from, target, to, flags, begins, behind, sp, layer;
} branch;

/* An exception at `pc` in which function `handler` is entered; it will return to return_pc. sp: of the interrupted code; handler_sp: as the
 * handler finds it. */
typedef struct {
    uint32_t pc, handler, return_pc, sp, handler_sp, layer;
} exception;

typedef struct calls calls;

calls *calls_new(void);
void calls_free(calls *c);

/* A run begins at `pc`, in `function`; counts go on. */
void calls_start(calls *c, uint32_t pc, uint32_t function, uint32_t sp, uint32_t layer);
/* Every frame is left: their stack is written down. */
void calls_finish(calls *c);

uint32_t calls_here(const calls *c); /* the context */

void calls_branch(calls *c, const branch *b);
/* The stack pointer has changed; flags: of the instruction that did it, SETS_SP, WRITES_SP (without: MSR). */
void calls_stack(calls *c, uint32_t sp, uint32_t flags);

void calls_exception(calls *c, const exception *e);
/* A handler returned to `pc` in `function`, which may begin there, perhaps in another thread than the one that was interrupted. */
void calls_exception_return(calls *c, uint32_t pc, uint32_t function, uint32_t begins, uint32_t sp, uint32_t layer);
/* The innermost handler gave way to another, without a return between. */
void calls_tail_chain(calls *c, uint32_t handler, uint32_t layer);

const context *calls_contexts(const calls *c, uint32_t *count);
const path *calls_paths(const calls *c, uint32_t *count);
const call_edge *calls_edges(const calls *c, uint32_t *count); /* a count of 0 is no edge */
/* There was no room for a path or an edge: what a function cost with its callees, and the calls, are lower bounds. */
int calls_folded(const calls *c);

#endif
