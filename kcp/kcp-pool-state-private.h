/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-call-private.h"
#include "kcp-launcher-private.h"
#include "kcp-pool.h"
#include "kcp-stream-private.h"
#include "kcp-trace-context.h"

G_BEGIN_DECLS

/* Inside of a pool, shared by its parts. Nobody else includes it.
 *
 *   kcp-pool.c           the object: properties, list, signals
 *   kcp-pool-settings.c  the setters
 *   kcp-pool-life.c      start, stop, states, the clock and its one loop of steps
 *   kcp-pool-slots.c     how many children there should be, and when a new one may be tried
 *   kcp-pool-member.c    one child
 *   kcp-pool-replace.c   all of them at once
 *   kcp-pool-choice.c    which child a call goes to
 *   kcp-pool-call.c      a call, as its caller sees it
 *   kcp-pool-route.c     its way to a child, and the queue
 *   kcp-pool-ask.c       the calls of the API
 *
 * What is to be done is found by looking at the state, one step at a time, in the pool's own turn
 * of the main loop: an event only notes what has happened. So a step may run user code, which
 * may change anything, and the next step looks again. */

typedef struct _KcpPoolMember KcpPoolMember;
typedef struct _KcpPoolCall KcpPoolCall;
typedef struct _KcpPoolReplacement KcpPoolReplacement;

#define KCP_POOL_NO_SLOT G_MAXUINT
#define KCP_POOL_CRASHES_BY_SIZE G_MAXUINT

/* One child, from its start until it is gone. */
struct _KcpPoolMember
{
  grefcount ref_count;
  KcpPool *pool;               /* borrowed; NULL once the pool has let go of it */
  guint slot;                  /* KCP_POOL_NO_SLOT: it is started for a replacement, or leaving */
  guint generation;
  GCancellable *start;         /* of its start; NULL once that is over */
  KcpActor *actor;             /* NULL: not ready yet */
  gulong handlers[3];
  guint max_in_flight;

  gboolean for_replacement;    /* waits for the switch */
  gboolean outdated;           /* a successor is wanted: it has served enough, or does not answer */
  gboolean hung;
  gboolean counted;            /* as a failure, while it lived */
  gboolean broken;             /* its calls fail: its end will be heard of */
  gboolean draining;           /* gets no new calls */
  gboolean stopping;

  guint64 calls;               /* given to it */
  gint64 ready_at;
  gint64 weighed_at;           /* when its memory was looked at */
  gint64 drain_until;          /* 0: as long as it takes */
};

/* A place for a child. Its number, not the child in it, is what a key is bound to. */
typedef struct
{
  KcpPoolMember *active;       /* serves, or at least lives */
  KcpPoolMember *coming;       /* is being started, to be the next one */
  gboolean wanted;
  guint failures;              /* in a row */
  gboolean failed;             /* and nothing was started since */
  gint64 retry_at;
} KcpPoolSlot;

typedef struct
{
  guint min, max;
  guint busy_mark;
  int idle_timeout, drain_timeout;
  guint64 recycle_calls;
  gsize recycle_memory;
  guint queue_calls;
  gsize queue_bytes;
  int backoff_first, backoff_longest;
  guint crash_limit;           /* 0: none */
  int crash_window;
  gboolean kill_unresponsive;
} KcpPoolSettings;

struct _KcpPool
{
  GObject parent_instance;

  GMainContext *context;
  KcpLauncher *launcher;
  guint generation;            /* of the launcher */
  KcpPoolSettings settings;

  KcpPoolState state;
  GPtrArray *members;          /* of KcpPoolMember */
  GPtrArray *actors;           /* those that live, as the list shows them */
  GArray *slots;               /* of KcpPoolSlot */
  guint wanted;                /* slots */
  guint turn;                  /* where the choice among equals begins */

  GArray *crashes;             /* gint64: when */
  gboolean given_up;           /* too many: no new children */
  KcpExitReport *last_report;
  GError *last_error;
  GError *stop_error;
  guint restarts;

  guint peak;                  /* most children busy at once since the last look */
  gint64 idle_at;              /* when to look again; 0: not armed */

  GQueue queue;                /* of KcpPoolCall */
  gsize queue_bytes;
  KcpDeadlines deadlines;      /* of calls in the queue */
  KcpInbox *inbox;             /* by which a cancellation in another thread comes home */
  GSource *inbox_source;
  guint shut;                  /* > 0: inside a function that must not run user code */
  GQueue deferred;             /* of KcpCall: done while it was shut */
  GSource *deferred_source;

  GSource *clock;
  gint64 clock_at;             /* 0: not armed */

  GPtrArray *start_waits, *stop_waits;
  KcpPoolReplacement *replacement;

  guint told_size, told_ready;
};

/* ---- kcp-pool.c ---- */

void      kcp_pool_set_state          (KcpPool        *self,
                                       KcpPoolState    state);
void      kcp_pool_list_add           (KcpPool        *self,
                                       KcpActor       *actor);
void      kcp_pool_list_remove        (KcpPool        *self,
                                       KcpActor       *actor);
void      kcp_pool_tell_exited        (KcpPool        *self,
                                       KcpActor       *actor,
                                       KcpExitReport  *report);
void      kcp_pool_tell_restart       (KcpPool        *self);
/* A property has changed: TRUE. */
gboolean  kcp_pool_tell_counts        (KcpPool        *self);
void      kcp_pool_take_report        (KcpPool        *self,
                                       KcpExitReport  *report);

/* ---- kcp-pool-life.c ---- */

static inline gboolean
kcp_pool_is_up (KcpPool *self)
{
  return self->state >= KCP_POOL_STARTING && self->state <= KCP_POOL_DEGRADED;
}

void      kcp_pool_open               (KcpPool        *self);
void      kcp_pool_close              (KcpPool        *self);
/* There is something to do in the next turn. */
void      kcp_pool_touch              (KcpPool        *self);
/* … or then. Only ever sooner. */
void      kcp_pool_arm                (KcpPool        *self,
                                       gint64          at);
/* Why there is nobody to ask; NULL: there is, or will be. */
GError   *kcp_pool_refusal            (KcpPool        *self);

/* ---- kcp-pool-slots.c ---- */

static inline KcpPoolSlot *
kcp_pool_slot (KcpPool *self,
               guint    index)
{
  return &g_array_index (self->slots, KcpPoolSlot, index);
}

void      kcp_pool_want               (KcpPool        *self,
                                       guint           index,
                                       gboolean        wanted);
/* One slot more; gives its number. */
guint     kcp_pool_want_more          (KcpPool        *self);
void      kcp_pool_want_none          (KcpPool        *self);
gboolean  kcp_pool_step_slots         (KcpPool        *self,
                                       guint          *spawns);
gboolean  kcp_pool_step_idle          (KcpPool        *self);
/* The child of a slot has failed; @crash: by a fault of its own. */
void      kcp_pool_take_failure       (KcpPool        *self,
                                       guint           index,
                                       gint64          ready_at,
                                       gboolean        crash);
void      kcp_pool_forgive            (KcpPool        *self);

/* ---- kcp-pool-member.c ---- */

void      kcp_pool_member_start       (KcpPool        *self,
                                       KcpLauncher    *launcher,
                                       guint           generation,
                                       guint           slot);
KcpPoolMember *kcp_pool_member_ref    (KcpPoolMember  *self);
void      kcp_pool_member_unref       (KcpPoolMember  *self);
/* It gets no new calls, and goes when it has answered those it has. */
void      kcp_pool_member_drain       (KcpPoolMember  *self);
/* Its start is given up, or the ladder begins. */
void      kcp_pool_member_stop        (KcpPoolMember  *self);
/* The pool hears nothing of it any more. */
void      kcp_pool_member_forget      (KcpPoolMember  *self);
gboolean  kcp_pool_member_takes_calls (KcpPoolMember  *self);
/* A call that it was given is over. */
void      kcp_pool_member_count_call  (KcpPoolMember  *self);
gboolean  kcp_pool_step_members       (KcpPool        *self);

/* ---- kcp-pool-replace.c ---- */

void      kcp_pool_replacement_take   (KcpPool        *self,
                                       const GError   *error);
gboolean  kcp_pool_step_replacement   (KcpPool        *self,
                                       guint          *spawns);
void      kcp_pool_replacement_drop   (KcpPool        *self,
                                       const GError   *error);

/* ---- kcp-pool-choice.c ---- */

guint64   kcp_pool_hash_key           (const char     *key);
/* @key: NULL for any child; @queued: the call is in the queue. With @beyond a child may be given
 * more than it takes at once. */
KcpPoolMember *kcp_pool_choose        (KcpPool        *self,
                                       const guint64  *key,
                                       gboolean        queued,
                                       gboolean        beyond);
guint     kcp_pool_count_busy         (KcpPool        *self);

/* ---- kcp-pool-call.c ---- */

typedef enum
{
  KCP_POOL_ASK,
  KCP_POOL_TELL,
  KCP_POOL_STREAM,
} KcpPoolCallKind;

struct _KcpPoolCall
{
  grefcount ref_count;       /* one of the outer call, one of the inner */
  KcpPool *pool;             /* held as long as one of the two is open */
  KcpPool *shut_by;          /* the pool, where the outer call was done inside a function of its */
  KcpPoolCallKind kind;
  KcpCall *outer;            /* held until it is done; then NULL */
  KcpMessage *message;
  KcpTraceContext *parent;   /* of what was served when it was asked; NULL: nothing */
  GCancellable *cancellable;
  gint64 deadline;           /* 0: none */
  gboolean keyed;
  guint64 key;

  GList *place;              /* in the queue */
  gsize size;
  gboolean waited;           /* its time has run on since it was asked */
  gboolean sent_again;

  KcpPoolMember *member;     /* that has it */
  KcpStream *inner;          /* only of a stream */
  gboolean begun;            /* items have come: they cannot come again */
};

KcpPoolCall *kcp_pool_call_new        (KcpPool          *self,
                                       KcpPoolCallKind   kind,
                                       const char       *key,
                                       KcpMessage       *message,
                                       GCancellable     *cancellable);
KcpPoolCall *kcp_pool_call_ref        (KcpPoolCall      *self);
void      kcp_pool_call_unref         (gpointer          self);
/* Its inner stream has begun: items go on to the outer call. */
void      kcp_pool_call_watch_stream  (KcpPoolCall      *self);
/* One round of a blocking wait for a stream. */

/* ---- kcp-pool-route.c ---- */

/* To a child, or into the queue. */
void      kcp_pool_submit             (KcpPool          *self,
                                       KcpPoolCall      *call);
void      kcp_pool_pump               (KcpPool          *self);
void      kcp_pool_fail_queue         (KcpPool          *self,
                                       const GError     *error);
void      kcp_pool_call_unqueue       (KcpPoolCall      *self);
/* The inner call is over. Takes @answer and @error, of which one is NULL. */
void      kcp_pool_settle             (KcpPoolCall      *self,
                                       KcpPoolMember    *member,
                                       KcpMessage       *answer,
                                       GError           *error,
                                       gboolean          unsent);
/* The message with what is left of its time. */
KcpMessage *kcp_pool_message_again    (KcpMessage       *message,
                                       gint64            deadline,
                                       KcpTraceContext  *parent);
gint64    kcp_pool_find_deadline      (KcpPool          *self,
                                       KcpMessage       *message,
                                       gboolean          stream);
/* Whether a call that has failed with @error goes to another child. */
gboolean  kcp_pool_goes_elsewhere     (KcpPoolMember    *member,
                                       KcpMessage       *message,
                                       const GError     *error,
                                       gboolean          unsent,
                                       gboolean         *sent_again);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpPoolCall, kcp_pool_call_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpPoolMember, kcp_pool_member_unref)

G_END_DECLS
