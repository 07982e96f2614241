/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-trace-context-private.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "kcp-error.h"

/**
 * KcpTraceContext:
 *
 * Where a message belongs in a distributed trace: the two values `traceparent` and `tracestate`
 * of W3C Trace Context, levels 1 and 2.
 *
 * A context never changes after it was made, so it can be shared between threads without a lock,
 * and every string a getter returns lives as long as the context. A call takes the context of the
 * call it is made in and travels with a child of it, see kcp_trace_context_new_child().
 */

#define TRACE_ID_BYTES (KCP_TRACE_ID_LENGTH / 2)
#define SPAN_ID_BYTES (KCP_SPAN_ID_LENGTH / 2)

#define FLAG_SAMPLED 0x01
#define FLAG_RANDOM_TRACE_ID 0x02
#define KNOWN_FLAGS (FLAG_SAMPLED | FLAG_RANDOM_TRACE_ID)

/* How much of a refused traceparent an error message repeats: one whole value and a bit more. */
#define MAX_QUOTED 64

struct _KcpTraceContext
{
  gatomicrefcount ref_count;
  guint8          flags;
  gsize           tracestate_length;
  char            traceparent[KCP_TRACEPARENT_LENGTH + 1];
  char            trace_id[KCP_TRACE_ID_LENGTH + 1];
  char            span_id[KCP_SPAN_ID_LENGTH + 1];
  char            tracestate[]; /* tracestate_length characters and a NUL */
};

G_DEFINE_BOXED_TYPE (KcpTraceContext, kcp_trace_context, kcp_trace_context_ref, kcp_trace_context_unref)

/* Random ids.
 *
 * The kernel's random numbers are good but a system call for each id is not cheap, so that each
 * thread fetches them in blocks. No lock is needed, and nobody can guess an id from another one.
 */
#define POOL_BYTES 1024

static _Thread_local struct
{
  guint8 bytes[POOL_BYTES];
  gsize  left;
} pool;

/* A forked child has one thread, with a copy of the pool of the thread that forked: it has to be
 * thrown away, or parent and child hand out the same ids. */
static void
forget_pool (void)
{
  pool.left = 0;
}

static void
register_fork_handler (void)
{
  static gsize registered = 0;

  if (g_once_init_enter (&registered))
    {
      pthread_atfork (NULL, NULL, forget_pool);
      g_once_init_leave (&registered, 1);
    }
}

static void
fill_pool (void)
{
  gsize have = 0;

  register_fork_handler ();

  while (have < POOL_BYTES)
    {
      gssize n = getrandom (pool.bytes + have, POOL_BYTES - have, 0);

      if (n > 0)
        have += n;
      else if (n == 0 || errno != EINTR)
        break;
    }

  /* A sandbox may forbid the call. GRand then seeds itself from /dev/urandom, or from time and pid;
   * a new one each time, for the same reason as forget_pool(). */
  if (have < POOL_BYTES)
    {
      g_autoptr(GRand) generator = g_rand_new ();

      while (have < POOL_BYTES)
        pool.bytes[have++] = g_rand_int (generator) >> 24;
    }

  pool.left = POOL_BYTES;
}

/* Writes a random id of @n_bytes as hex, without a NUL. An id of only zeros is no id: 3.2.2.3, 3.2.2.4. */
static void
write_random_id (char  *out,
                 gsize  n_bytes)
{
  static const char digits[] = "0123456789abcdef";
  guint8 any;

  do
    {
      const guint8 *bytes;

      if (pool.left < n_bytes)
        fill_pool ();

      pool.left -= n_bytes;
      bytes = pool.bytes + pool.left;
      any = 0;

      for (gsize i = 0; i < n_bytes; i++)
        {
          any |= bytes[i];
          out[2 * i] = digits[bytes[i] >> 4];
          out[2 * i + 1] = digits[bytes[i] & 0x0f];
        }
    }
  while (any == 0);
}

/* Making contexts */

/* The ids are left to the caller, who writes them into the `trace_id` and `span_id` members and then
 * calls context_seal(). */
static KcpTraceContext *
context_alloc (guint8 flags,
               gsize  tracestate_length)
{
  KcpTraceContext *self = g_malloc (sizeof (KcpTraceContext) + tracestate_length + 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->flags = flags;
  self->tracestate_length = tracestate_length;
  self->trace_id[KCP_TRACE_ID_LENGTH] = '\0';
  self->span_id[KCP_SPAN_ID_LENGTH] = '\0';
  self->tracestate[tracestate_length] = '\0';

  return self;
}

/* Version 00 is the only one written, whatever was read (3.2.4), and the flags have known bits only. */
static KcpTraceContext *
context_seal (KcpTraceContext *self)
{
  char *out = self->traceparent;

  memcpy (out, "00-", KCP_TRACE_ID_OFFSET);
  memcpy (out + KCP_TRACE_ID_OFFSET, self->trace_id, KCP_TRACE_ID_LENGTH);
  out[KCP_SPAN_ID_OFFSET - 1] = '-';
  memcpy (out + KCP_SPAN_ID_OFFSET, self->span_id, KCP_SPAN_ID_LENGTH);
  out[KCP_TRACE_FLAGS_OFFSET - 1] = '-';
  out[KCP_TRACE_FLAGS_OFFSET] = '0';
  out[KCP_TRACE_FLAGS_OFFSET + 1] = '0' + self->flags;
  out[KCP_TRACEPARENT_LENGTH] = '\0';

  return self;
}

/**
 * kcp_trace_context_new:
 *
 * Starts a new trace: random trace id, random span id, no tracestate.
 *
 * Its flags are `02`: the trace id is random (the level 2 flag), and it is not sampled. Sampled
 * would say that this process may have recorded something about the span; nothing has, and
 * a trace is to start with the bit unset while nobody has decided to record it (W3C Trace Context,
 * 3.2.2.5.1 Sampled flag).
 *
 * May be called from any thread, and also in the child of a `fork()`, which gets ids of its own.
 *
 * Returns: (transfer full): the first context of a new trace
 */
KcpTraceContext *
kcp_trace_context_new (void)
{
  KcpTraceContext *self = context_alloc (FLAG_RANDOM_TRACE_ID, 0);

  write_random_id (self->trace_id, TRACE_ID_BYTES);
  write_random_id (self->span_id, SPAN_ID_BYTES);

  return context_seal (self);
}

/**
 * kcp_trace_context_new_child:
 * @parent: (nullable): the context of the work during which a call is made
 *
 * Makes the context of an operation that is part of @parent: same trace id, same flags, same
 * tracestate, and a span id of its own. Without a @parent a new trace is started, as by
 * kcp_trace_context_new().
 *
 * The flags stay as they are, since a trace's random-trace-id flag has to be passed on unchanged
 * and the sampled flag may only change by somebody's decision to record (W3C Trace Context level 2,
 * 3.2.2.5 trace-flags and 3.4 Mutating the traceparent Field). May be called from any thread.
 *
 * Returns: (transfer full): a new context
 */
KcpTraceContext *
kcp_trace_context_new_child (KcpTraceContext *parent)
{
  KcpTraceContext *self;

  if (parent == NULL)
    return kcp_trace_context_new ();

  self = context_alloc (parent->flags, parent->tracestate_length);
  memcpy (self->trace_id, parent->trace_id, KCP_TRACE_ID_LENGTH);
  memcpy (self->tracestate, parent->tracestate, parent->tracestate_length);

  /* One time in 2^64 this would be the parent's own. */
  do
    write_random_id (self->span_id, SPAN_ID_BYTES);
  while (memcmp (self->span_id, parent->span_id, KCP_SPAN_ID_LENGTH) == 0);

  return context_seal (self);
}

/* Reading */

/* Apart from the reading so that nothing of this is in the way of a good message. */
G_GNUC_NO_INLINE static void
set_traceparent_error (GError     **error,
                       const char  *traceparent,
                       const char  *fault)
{
  gsize length = strnlen (traceparent, MAX_QUOTED + 1);
  g_autofree char *start = g_strndup (traceparent, MIN (length, MAX_QUOTED));
  g_autofree char *escaped = g_strescape (start, NULL);

  g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "traceparent \"%s%s\": %s",
               escaped, length > MAX_QUOTED ? "..." : "", fault);
}

/**
 * kcp_trace_context_parse:
 * @traceparent: a `traceparent` value
 * @tracestate: (nullable): the `tracestate` value that came with it
 * @error: return location for an error
 *
 * Reads a context that came from somewhere else, by the rules of W3C Trace Context levels 1 and 2.
 *
 * A @traceparent of a version above 00 is read as far as version 00 goes (3.2.4 Versioning of
 * traceparent); the context is one of version 00 then. Flags other than sampled and random-trace-id
 * are cleared (3.2.2.5 trace-flags). A @traceparent that breaks the rules is
 * %KCP_ERROR_INVALID_MESSAGE, and the message names the rule; it is right to start a new trace in its place.
 *
 * A @tracestate that breaks the rules (3.3.1.1 tracestate Header Field Values) is dropped as a whole
 * and is no error, since it must not spoil the @traceparent. Of a good one the members are kept in
 * their order; empty members and optional white space go. Keys are those of level 2, which include
 * `tenant@system`; there are at most 32 members, not counting empty ones.
 *
 * May be called from any thread; neither string is needed any longer afterwards.
 *
 * Returns: (transfer full): the context, or %NULL with @error set
 */
KcpTraceContext *
kcp_trace_context_parse (const char  *traceparent,
                         const char  *tracestate,
                         GError     **error)
{
  KcpTraceContext *self;
  KcpTracestate parsed;
  const char *fault;
  guint8 flags;

  g_return_val_if_fail (traceparent != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  fault = kcp_traceparent_find_fault (traceparent);
  if (fault != NULL)
    {
      set_traceparent_error (error, traceparent, fault);
      return NULL;
    }

  /* A bad one leaves nothing in @parsed, and that is all that comes of it. */
  kcp_tracestate_read (tracestate, &parsed);

  /* The second digit has all flags known so far. */
  flags = g_ascii_xdigit_value (traceparent[KCP_TRACE_FLAGS_OFFSET + 1]) & KNOWN_FLAGS;

  self = context_alloc (flags, parsed.length);
  memcpy (self->trace_id, traceparent + KCP_TRACE_ID_OFFSET, KCP_TRACE_ID_LENGTH);
  memcpy (self->span_id, traceparent + KCP_SPAN_ID_OFFSET, KCP_SPAN_ID_LENGTH);
  kcp_tracestate_write (&parsed, self->tracestate);

  return context_seal (self);
}

/**
 * kcp_trace_context_ref:
 * @self: a context
 *
 * Takes a reference. May be called from any thread.
 *
 * Returns: (transfer full): @self
 */
KcpTraceContext *
kcp_trace_context_ref (KcpTraceContext *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  g_atomic_ref_count_inc (&self->ref_count);

  return self;
}

/**
 * kcp_trace_context_unref:
 * @self: (transfer full): a context
 *
 * Gives a reference back; with the last one the context is freed. May be called from any thread.
 */
void
kcp_trace_context_unref (KcpTraceContext *self)
{
  g_return_if_fail (self != NULL);

  if (g_atomic_ref_count_dec (&self->ref_count))
    g_free (self);
}

/**
 * kcp_trace_context_get_traceparent:
 * @self: a context
 *
 * Gets the 55 characters that are sent as `traceparent`: version 00, lower case, known flags only.
 *
 * Returns: (transfer none): the value, owned by @self
 */
const char *
kcp_trace_context_get_traceparent (KcpTraceContext *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->traceparent;
}

/**
 * kcp_trace_context_get_tracestate:
 * @self: a context
 *
 * Gets what is sent as `tracestate`.
 *
 * Returns: (transfer none) (nullable): the value, owned by @self, or %NULL when nothing is to be sent
 */
const char *
kcp_trace_context_get_tracestate (KcpTraceContext *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->tracestate_length > 0 ? self->tracestate : NULL;
}

/**
 * kcp_trace_context_get_trace_id:
 * @self: a context
 *
 * Gets the id all operations of the trace have in common: 32 lower-case hex digits, never all zeros.
 *
 * Returns: (transfer none): the id, owned by @self
 */
const char *
kcp_trace_context_get_trace_id (KcpTraceContext *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->trace_id;
}

/**
 * kcp_trace_context_get_span_id:
 * @self: a context
 *
 * Gets the id of this operation, which the specification calls parent-id, as seen by the receiver:
 * 16 lower-case hex digits, never all zeros.
 *
 * Returns: (transfer none): the id, owned by @self
 */
const char *
kcp_trace_context_get_span_id (KcpTraceContext *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->span_id;
}

/**
 * kcp_trace_context_is_sampled:
 * @self: a context
 *
 * Gets the sampled flag. It is the caller's hint that it may have recorded its part of the trace,
 * not an order.
 *
 * Returns: %TRUE if the flag is set
 */
gboolean
kcp_trace_context_is_sampled (KcpTraceContext *self)
{
  g_return_val_if_fail (self != NULL, FALSE);

  return (self->flags & FLAG_SAMPLED) != 0;
}
