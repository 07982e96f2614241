/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-deadlines-private.h"
#include "kcp-inbox-private.h"
#include "kcp-invocation-private.h"
#include "kcp-message.h"
#include "kcp-trace-context.h"
#include "kcp-window-private.h"

G_BEGIN_DECLS

/* The caller's view of one request.
 *
 *     OPEN ──item──► OPEN ──end, error, deadline, cancel, close──► DONE
 *
 * It is done exactly once, whatever meets: the first to come decides, the rest find it done.
 * It is the #GAsyncResult of an ask, and what stands behind a #KcpStream. It belongs to the
 * thread of its link, from when it is handed to that until it is done. Where @shared, who asked
 * may look meanwhile whether it is done, take items, and wait: what that needs is under the lock.
 *
 * Before it is sent, and after a link has ended that gave it back, it may be in other hands than a
 * link's: kcp_call_move(). Then all that was said of other threads does not hold: who asked is at
 * home. */

#define KCP_TYPE_CALL (kcp_call_get_type ())
G_DECLARE_FINAL_TYPE (KcpCall, kcp_call, KCP, CALL, GObject)

typedef struct
{
  /* The call is done: it leaves all tables. With @cancel the callee is told that nobody waits. */
  void (*closed)  (gpointer owner, KcpCall *call, gboolean cancel);
  /* Optional: the user has taken items in, the callee may send more. */
  void (*credit)  (gpointer owner, KcpCall *call, guint items, gsize bytes);
  /* There is something for the user: arrange for kcp_call_notify(), now or when user code may run. */
  void (*deliver) (gpointer owner, KcpCall *call);
  /* Blocks until something has happened that may concern the call. The owner is kept meanwhile. */
  void     (*wait)  (gpointer owner, KcpCall *call);
  gpointer (*ref)   (gpointer owner);
  void     (*unref) (gpointer owner);
} KcpCallOps;

/* Tells the user of a call that there are items, or that it is done. */
typedef void (*KcpCallNotify) (KcpCall  *call,
                               gpointer  data);

struct _KcpCall
{
  GObject parent_instance;

  const KcpCallOps *ops;
  gpointer owner;           /* borrowed; NULL once done */
  KcpInbox *inbox;          /* by which a cancellation in another thread comes home */

  guint64 id;               /* 0 until it is sent */
  GList *mail;              /* its place in the queue of its owner; NULL: it does not wait */
  guint64 parent;           /* the invocation inside which it was made; 0 for none */
  KcpInvocation *outer;     /* the same, kept: the user goes on inside of it; NULL for none */
  char *path;
  KcpMessage *message;      /* kept where it may be sent once more; else NULL, as is @trace */
  KcpTraceContext *trace;
  gboolean sent_again;      /* that was done */
  KcpDeadline deadline;
  GCancellable *cancellable;
  gulong cancel_handler;

  gboolean wants_items;
  gboolean shared;          /* another thread may wait for it */
  int done;                 /* atomic; what it ended with is written before */
  gboolean delivering;      /* deliver() was called and notify has not run yet */
  GMainContext *context;    /* that its callback runs in; NULL: the link's */

  GMutex lock;              /* where it is shared: around all down to @door_serves */
  GQueue items;             /* of KcpMessage */
  gboolean credit;          /* the callee keeps to the window */
  KcpWindow window;
  guint owed_items;         /* taken in, and not given back yet */
  gsize owed_bytes;
  GTask *waiting_task;      /* that wants the next item */
  KcpInbox *door;           /* of the thread that blocks for it and is not at home; NULL: none does */
  GThread *waiter;          /* that thread */
  gboolean door_serves;     /* it is serving a call itself, and can take on those inside of it */

  KcpMessage *result;       /* of the END */
  GError *error;

  gint64 give_up_at;        /* the deadline, for who blocks elsewhere than at home */
  GObject *source_object;
  GAsyncReadyCallback callback;
  gpointer user_data;
  KcpCallNotify notify;
  gpointer notify_data;
};

/* Someone who blocks for a call. Waits for the same call nest. */
typedef struct
{
  KcpInbox *door, *previous_door;
  GThread *previous_waiter;
  gboolean previous_serves;
  GCancellable *cancellable;
  gulong cancel_handler;
} KcpCallWait;

KcpCall    *kcp_call_new          (const KcpCallOps     *ops,
                                   gpointer              owner,
                                   KcpInbox             *inbox,
                                   const char           *path);
void        kcp_call_set_callback (KcpCall              *self,
                                   gpointer              source_object,
                                   GAsyncReadyCallback   callback,
                                   gpointer              user_data);
void        kcp_call_set_notify   (KcpCall              *self,
                                   KcpCallNotify         notify,
                                   gpointer              data);
gboolean    kcp_call_watch        (KcpCall              *self,
                                   GCancellable         *cancellable);
/* Into other hands at the same home. Whoever had it has taken it out of its tables. */
void        kcp_call_move         (KcpCall              *self,
                                   const KcpCallOps     *ops,
                                   gpointer              owner,
                                   KcpInbox             *inbox);
/* The same, where the inbox stays. */
void        kcp_call_set_owner    (KcpCall              *self,
                                   const KcpCallOps     *ops,
                                   gpointer              owner);

/* Takes @item. FALSE: the callee has gone beyond the window. */
gboolean    kcp_call_take_item    (KcpCall              *self,
                                   KcpMessage           *item);
/* NULL: there is none. From any thread, where it is shared. */
KcpMessage *kcp_call_pop_item     (KcpCall              *self);
/* An item, the end (NULL) or an error: TRUE. FALSE: nothing yet; @task, where there is one, is kept
 * to be stolen when there is. From any thread. */
gboolean    kcp_call_take_next    (KcpCall              *self,
                                   GTask                *task,
                                   KcpMessage          **item,
                                   GError              **error);
gboolean    kcp_call_has_next     (KcpCall              *self);
void        kcp_call_drop_items   (KcpCall              *self);
/* NULL: none waits, or another than @task does, where that is given. */
GTask      *kcp_call_steal_task   (KcpCall              *self,
                                   GTask                *task);
gboolean    kcp_call_has_task     (KcpCall              *self);

/* Around a blocking wait. From elsewhere than home the call gets a door, by which the thread is
 * woken: by the call, and by @cancellable. At home that wakes the link's inbox. */
void        kcp_call_begin_wait   (KcpCall              *self,
                                   KcpCallWait          *wait,
                                   GCancellable         *cancellable);
void        kcp_call_end_wait     (KcpCall              *self,
                                   KcpCallWait          *wait);
/* One round of such a wait, in whosever hands the call is. */
void        kcp_call_wait_round   (KcpCall              *self);
/* Whether a thread other than this one waits by a door. */
gboolean    kcp_call_is_awaited   (KcpCall              *self);
/* The door of a thread that can serve what is asked inside of this call; NULL: none. Owned. */
KcpInbox   *kcp_call_find_server  (KcpCall              *self);
void        kcp_call_take_end     (KcpCall              *self,
                                   KcpMessage           *result);
void        kcp_call_take_error   (KcpCall              *self,
                                   GError               *error);
void        kcp_call_abandon      (KcpCall              *self,
                                   GError               *error);

void        kcp_call_notify       (KcpCall              *self);
/* The same in a turn of @context, which it takes. */
void        kcp_call_notify_in    (KcpCall              *self,
                                   GMainContext         *context);
KcpMessage *kcp_call_finish       (KcpCall              *self,
                                   GError              **error);

/* For its other half alone. */
void        kcp_call_deliver      (KcpCall              *self,
                                   gpointer              owner);
void        kcp_call_wake         (KcpCall              *self);

/* A call that only its link's thread knows needs no lock. */
static inline void
kcp_call_lock (KcpCall *self)
{
  if (self->shared)
    g_mutex_lock (&self->lock);
}

static inline void
kcp_call_unlock (KcpCall *self)
{
  if (self->shared)
    g_mutex_unlock (&self->lock);
}

G_END_DECLS
